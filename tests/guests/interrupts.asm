; tests/guests/interrupts.asm -- external interrupts: where they are taken, the shadows of STI and
; MOV SS, HLT, POPF, IRET, in the middle of REP and of hot loops.
; [SDM 3A 6.8.1 "Masking Maskable Hardware Interrupts", 6.8.3], [SDM 2B "STI"]
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "common.inc"

VEC     equ 0x43
count   equ vars
taken_at equ vars + 4
flags   equ vars + 8
when    equ vars + 12           ; ECX at the interrupt
inner   equ vars + 16

%macro RAISE 0                  ; now; clobbers EDX, EAX
        mov     dx, 0xf5
        mov     eax, VEC
        out     dx, eax
%endmacro
%macro RAISE_AFTER 1            ; microseconds
        mov     dx, 0xf5
        mov     eax, VEC | ((%1) << 8)
        out     dx, eax
%endmacro
%macro TAKEN 1                  ; once, with this return address
        EQ      [count], 1
        EQ      [taken_at], %1
        mov     dword [count], 0
%endmacro

main:
        mov     dword [count], 0
        mov     dword [taken_at], 0
        SET_GATE VEC, CODE32, handler, A_INT32
        cli
        mov     esi, 5
        ; ---- STI: one more instruction, then the interrupt ----
.round: RAISE
        nop
        nop
        EQ      [count], 0
        sti
        nop
.a1:    nop
        cli
        TAKEN   .a1
        BITS_EQ [flags], F_IF | F_RF, F_IF
        ; STI; CLI: no window
        RAISE
        sti
        cli
        nop
        nop
        EQ      [count], 0
        sti
        nop
.a2:    cli
        TAKEN   .a2
        ; STI with IF set already shadows nothing
        sti
        nop
        RAISE                           ; taken behind OUT
.a3:    nop
        nop
        cli
        TAKEN   .a3
        ; STI; jump, call, and back
        RAISE
        sti
        jmp     .a4
        nop
.a4:    nop
        cli
        TAKEN   .a4
        RAISE
        call    sti_ret
.a5:    cli
        TAKEN   .a5
        RAISE
        mov     ecx, 1
        sti
        loop    .a6
.a6:    cli
        TAKEN   .a6
        ; STI; HLT: it wakes at once
        RAISE
        sti
        hlt
.a7:    cli
        TAKEN   .a7
        ; HLT, woken later
        RAISE_AFTER 300
        sti
        hlt
.a8:    cli
        TAKEN   .a8
        ; MOV SS and POP SS hold it off for one instruction
        RAISE
        mov     eax, DATA32
        mov     ebx, esp
        sti
        mov     ss, ax                  ; in STI's shadow, and makes its own
        mov     esp, ebx
.a9:    nop
        cli
        TAKEN   .a9
        sti
        push    ss
        cli
        RAISE
        push    dword F_IF | 2          ; POPF has no shadow
        popfd
.a10:   pop     ss
        nop
        cli
        TAKEN   .a10
        cli
        RAISE
        push    dword F_IF | 2
        push    dword CODE32
        push    dword .a11
        iretd                           ; nor has IRET
.a11:   nop
        cli
        TAKEN   .a11
        ; LDS... are no MOV SS; LSS is none of MOV SS's shadow by the manual's words: not tested
        ; an exception in the shadow
        RAISE
        mov     dword [ex_resume], .a12
        mov     dword [ex_count], 0
        sti
        ud2
.a12:   nop
        cli
        EQ      [ex_count], 1
        BITS_EQ [ex_eflags], F_IF, F_IF
        TAKEN   .a12                    ; after the handler's IRET, whose gate has cleared IF
        ; STI's shadow ends with a fault: a trap gate would be interrupted at its first
        ; instruction
        SET_GATE UD, CODE32, trap_handler, A_TRAP32
        RAISE
        sti
        ud2
.a13:   cli
        TAKEN   trap_handler
        RESET_GATE UD
        ; ---- in the middle of REP: it resumes ----
        mov     ecx, 0x300000
        mov     edi, 0x400000
        xor     eax, eax
        mov     dword [when], 0
        sti
        RAISE_AFTER 100
        xor     eax, eax
.a14:   rep     stosd
        cli
        EQ      ecx, 0
        EQ      edi, 0x400000 + 0xc00000
        cmp     dword [count], 1
        je      .a14_ok
        ; the string was quicker: fetch the interrupt now
        sti
        hlt
        cli
.a14_ok:
        mov     dword [count], 0
        ; ---- into a hot loop that nothing else leaves ----
        RAISE_AFTER 200
        sti
.spin:  cmp     dword [count], 0
        je      .spin
        cli
        mov     dword [count], 0
        RAISE_AFTER 200
        sti
        call    spin_call
        cli
        mov     dword [count], 0
        ; a jump to itself: the handler moves on
        mov     dword [inner], .out
        RAISE_AFTER 200
        sti
.self:  jmp     .self
        FAIL
.out:   cli
        EQ      [taken_at], .self
        mov     dword [inner], 0
        mov     dword [count], 0
        ; an indirect one
        mov     dword [inner], .out2
        mov     ebx, .self2
        RAISE_AFTER 200
        sti
.self2: jmp     ebx
        FAIL
.out2:  cli
        EQ      [taken_at], .self2
        mov     dword [inner], 0
        mov     dword [count], 0
        dec     esi
        jnz     .round

        ; ---- from CPL 3, where CLI and STI fault with IOPL 0 and IF stays ----
        mov     [kernel_esp], esp
        RAISE
        push    dword USER_DATA
        push    dword USER_STACK
        push    dword F_IF | 2
        push    dword USER_CODE
        push    dword .user
        iretd
.user:  mov     eax, USER_DATA
        mov     ds, eax
        TAKEN   .user
        FAULTS  GP, 0, cli
        FAULTS  GP, 0, sti
        FAULTS  GP, 0, hlt
        push    dword 2
        popfd                           ; changes IF silently not
        pushfd
        pop     eax
        BITS_EQ eax, F_IF, F_IF
        FAULTS  GP, 0, out 0xf4, al
        SUPERVISOR
        ; ---- with IOPL 3 they work ----
        USER    3
        sti
        pushfd
        pop     eax
        BITS_EQ eax, F_IF, F_IF
        RAISE
.b1:    nop
        TAKEN   .b1
        cli
        RAISE
        nop
        EQ      [count], 0
        sti
        nop
.b2:    cli
        TAKEN   .b2
        SUPERVISOR
        ret

sti_ret:
        sti
        ret

spin_call:
        call    .nothing
        cmp     dword [count], 0
        je      spin_call
.nothing: ret

trap_handler:
        nop
        add     dword [esp], 2
        iretd

handler:
        push    eax
        mov     eax, DATA32
        push    ds
        mov     ds, eax
        inc     dword [count]
        mov     [when], ecx
        mov     eax, [esp + 8]
        mov     [taken_at], eax
        mov     eax, [esp + 16]
        mov     [flags], eax
        mov     eax, [inner]
        test    eax, eax
        jz      .end
        mov     [esp + 8], eax
.end:   pop     ds
        pop     eax
        iretd
