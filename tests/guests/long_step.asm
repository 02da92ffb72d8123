; tests/guests/long_step.asm -- TF in 64-bit mode: behind what a single step traps, over IRET, MOV SS,
; far transfers, mode switches, SWAPGS, REP; external interrupts and their shadows, CR8 aside.
; [SDM 3B 18.3.1.4 "Single-Step Exception Condition"], [SDM 3A 6.8.3, 6.14], [SDM 2B "STI"]
%include "long.inc"

TRACE   equ DATA + 0x800
trace_next equ vars64
trace_dr6 equ vars64 + 8
others  equ vars64 + 16

%macro STEP_START 0
        mov     qword [trace_next], TRACE
        mov     qword [others], 0
        mov     qword [lx_hook], step_hook
%endmacro
; The first trap comes behind the instruction after POPF.
%macro STEP_ON 0
        STEP_START
        push    F_TF | 2
        popfq
%endmacro
; PUSH and POPFQ are trapped, too.
%macro STEP_OFF 0
        push    2
        popfq
        mov     qword [lx_hook], 0
%endmacro
; These RIPs, then those behind PUSH and POPFQ
%macro TRACED 1-*
        mov     esi, TRACE
  %rep %0
        EQ64    [rsi], LINEAR(%1)
        add     esi, 8
    %rotate 1
  %endrep
        add     esi, 16
        EQ64    [trace_next], rsi
%endmacro

main64:
        mov     r13d, 4
.loop:  call    straight
        call    transfers
        call    switches
        call    interrupts
        dec     r13d
        jnz     .loop
        ret

straight:
        STEP_ON
        nop
.a1:    mov     rax, 0x123456789abcdef0
.a2:    add     rax, [rel .data]
.a3:    STEP_OFF
        TRACED  .a1, .a2, .a3
        BITS_EQ [trace_dr6], 0xf00f, 0x4000
        BITS_EQ [lx_rflags], F_TF | F_RF, 0
        mov     ecx, 300
.warm:  dec     ecx
        jnz     .warm
        mov     ecx, 2
        STEP_ON
        jmp     .in
.in:    dec     ecx
.b1:    jnz     .in
.b2:    call    .sub
.b3:    STEP_OFF
        TRACED  .in, .b1, .in, .b1, .b2, .sub, .b3
        ; REP
        mov     esi, DATA
        mov     edi, DATA + 0x100
        mov     ecx, 3
        STEP_ON
.rep:   rep     movsq
.rep_end:
        STEP_OFF
        TRACED  .rep, .rep, .rep_end
        ; MOV SS and POP SS hold it off, a null SS too; MOV DS does not
        mov     eax, DATA64
        xor     ecx, ecx
        STEP_ON
        nop
.c1:    mov     ss, ax
        nop
.c2:    mov     ss, cx
        nop
.c3:    mov     ss, ax
        nop
.c4:    mov     ds, ax
.c5:    STEP_OFF
        TRACED  .c1, .c2, .c3, .c4, .c5
        ; a fault is not stepped; nor is INT n
        mov     qword [lx_resume], .d1
        STEP_ON
        ud2
.d1:    nop
.d2:    int3
        nop
.d3:    STEP_OFF
        TRACED  .d2, .d3
        EQ64    [others], 2
        ; system instructions, CMPXCHG16B, SSE
        CR_SET  cr4, CR4_OSFXSR
        mov     eax, 1
        STEP_ON
        cpuid
.e1:    mov     rax, cr0
.e2:    mov     cr0, rax
.e3:    mov     rax, cr3
.e4:    mov     cr3, rax
.e5:    invlpg  [0]
.e6:    swapgs
.e7:    swapgs
.e8:    movaps  xmm0, xmm1
.e9:    lock cmpxchg16b [DATA]
.f1:    rdtsc
.f2:    wbinvd
.f3:    STEP_OFF
        TRACED  .e1, .e2, .e3, .e4, .e5, .e6, .e7, .e8, .e9, .f1, .f2, .f3
        CR_CLEAR cr4, CR4_OSFXSR
        ; DR6.BS and a data breakpoint at once
        mov     eax, DATA
        mov     dr0, rax
        mov     eax, 0xd0402                    ; G0, write, 4 bytes
        mov     dr7, rax
        STEP_ON
        mov     [DATA], ecx
.g1:    STEP_OFF
        xor     eax, eax
        mov     dr7, rax
        TRACED  .g1
        EQ64    [TRACE + 0x400], 0x4001
        ret
.sub:   ret
align 8
.data:  dq      5

transfers:
        ; IRET that sets TF: behind the instruction it leads to
        STEP_START
        mov     rax, rsp
        push    DATA64
        push    rax
        push    F_TF | 2
        push    CODE64
        push    .a0
        iretq
.a0:    nop
.a1:    nop
.a2:    STEP_OFF
        TRACED  .a1, .a2
        ; IRET that keeps it, and one that clears it: trapped as they began with TF
        mov     rax, rsp
        push    DATA64
        push    rax
        push    2
        push    CODE64
        push    .b1
        STEP_ON
        iretq
.b1:    nop
        mov     qword [lx_hook], 0
        EQ64    [TRACE], LINEAR(.b1)
        EQ64    [trace_next], TRACE + 8
        ; far CALL, RET, JMP into compatibility mode and back
        STEP_ON
        jmp     far dword [.far]
bits 32
.c1:    nop
.c2:    jmp     CODE64:.c3
bits 64
.c3:    STEP_OFF
        TRACED  .c1, .c2, .c3
        ; level 3 and back
        STEP_START
        USER    0, F_TF
        nop
.d1:    nop
.d2:    SUPERVISOR
        mov     qword [lx_hook], 0
        EQ64    [TRACE], LINEAR(.d1)
        EQ64    [TRACE + 8], LINEAR(.d2)
        EQ64    [trace_next], TRACE + 16
        EQ64    [lx_cs], USER_CODE64
        ret
align 8
.far:   dd      LINEAR(.c1), CODE32

; TF in hot code that changes and turns it on in the middle
switches:
        mov     ecx, 60
        xor     ebx, ebx
.mix:   inc     ebx
        cmp     ecx, 30
        jne     .go
        STEP_ON
.go:    loop    .mix
        STEP_OFF
        EQ      ebx, 60
        EQ64    [trace_next], TRACE + (1 + 29 * 4 + 2) * 8
        ; code that is rewritten while stepped
        xor     ebx, ebx
        mov     byte [.n1 + 2], 0
        STEP_ON
        mov     byte [.n1 + 2], 7
.n1:    add     ebx, byte 0
.n2:    STEP_OFF
        EQ      ebx, 7
        ret

step_hook:
        cmp     qword [lx_vector], DB_
        jne     .other
        mov     rax, [trace_next]
        mov     rcx, [lx_rip]
        mov     [rax], rcx
        mov     rcx, dr6
        and     ecx, 0xf00f
        mov     [rax + 0x400], rcx
        mov     [trace_dr6], rcx
        add     qword [trace_next], 8
        xor     eax, eax
        mov     dr6, rax
        ret
.other: inc     qword [others]
        cmp     qword [lx_vector], BP_
        je      .end
        mov     rax, [lx_resume]
        test    rax, rax
        jz      .bad
        mov     [rbp + L_RIP], rax
        mov     qword [lx_resume], 0
        and     qword [rbp + L_RFLAGS], ~F_RF
.end:   ret
.bad:   FAIL

; ---- external interrupts: vector 0x45 rises with the OUT ----
%macro RAISE 0
        mov     eax, 0x45
        mov     edx, 0xf5
        out     dx, eax
%endmacro
interrupts:
        mov     qword [lx_hook], .hook
        mov     r12, rsp
        mov     r15d, 4
        ; IF set: behind the OUT; the frame is aligned, RF and the rest as they are
.hot:   mov     qword [lx_count], 0
        sub     rsp, r15
        sti
        nop
        RAISE
.a1:    nop
        cli
        EQ64    [lx_count], 1
        EQ64    [lx_vector], 0x45
        EQ64    [lx_rip], LINEAR(.a1)
        EQ64    [lx_rsp], rsp
        BITS_EQ [lx_rflags], F_IF | F_RF, F_IF
        mov     rsp, r12
        ; IF clear: behind the instruction after STI; MOV SS holds it off, too
        mov     qword [lx_count], 0
        RAISE
        nop
        sti
        nop
.b1:    nop
        cli
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.b1)
        mov     qword [lx_count], 0
        RAISE
        sti
        cli                                     ; the shadow ends with IF clear
        nop
        EQ64    [lx_count], 0
        mov     ecx, DATA64
        sti
        mov     ss, cx
        nop
.c1:    nop
        cli
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.c1)
        ; IRET and POPF that set IF have no shadow
        mov     qword [lx_count], 0
        RAISE
        push    F_IF | 2
        popfq
.d1:    nop
        cli
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.d1)
        mov     qword [lx_count], 0
        RAISE
        mov     rax, rsp
        push    DATA64
        push    rax
        push    F_IF | 2
        push    CODE64
        push    .e1
        iretq
.e1:    nop
        cli
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.e1)
        ; STI; HLT: the interrupt wakes it, RIP is behind
        mov     qword [lx_count], 0
        RAISE
        sti
        hlt
.f1:    cli
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.f1)
        ; at level 3, onto RSP0; STI before SYSRET and IRET delays to the first instruction there
        mov     qword [lx_count], 0
        RAISE
        mov     [long_rsp], rsp
        push    USER_DATA64
        push    USER_STACK
        push    F_IF | 2
        push    USER_CODE64
        push    .g1
        iretq
.g1:    nop
        SUPERVISOR
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.g1)
        EQ64    [lx_cs], USER_CODE64
        EQ64    [lx_rsp], USER_STACK
        EQ64    [lx_frame], KERNEL_STACK - 0x1000 - 40
        mov     qword [lx_count], 0
        RAISE
        mov     [long_rsp], rsp
        WRITE_MSR STAR, (CODE64 << 32) | ((USER_CODE32 & ~3) << 48)
        mov     ecx, .h1
        mov     r11d, F_IF | 2
        o64 sysret
.h1:    nop
        SUPERVISOR
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.h1)
        EQ64    [lx_cs], USER_CODE64
        ; in compatibility mode
        mov     qword [lx_count], 0
        COMPAT
        sti
        nop
        RAISE
.i1:    nop
        cli
        EQ      [lx_rip], .i1
        EQ      [lx_cs], CODE32
        LONG
        dec     r15d
        jnz     .hot
        mov     qword [lx_hook], 0
        ret
.hook:  cmp     qword [lx_vector], 0x45
        jne     .bad
        ret
.bad:   FAIL
