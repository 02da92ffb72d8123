; tests/guests/step.asm -- TF: one debug trap behind each instruction, DR6.BS, over REP, POPF,
; IRET, MOV SS, INT n, faults, and into hot loops.
; [SDM 3B 18.3.1.4 "Single-Step Exception Condition"], [SDM 3A 6.8.3 "Masking Exceptions and
; Interrupts When Switching Stacks"]
%include "common.inc"

TRACE   equ DATA                ; EIPs of the traps
trace_next equ vars
trace_dr6 equ vars + 4
faults  equ vars + 8            ; other exceptions while stepping
BS      equ 0x4000

; Step from here: the first trap comes behind the instruction after POPF.
%macro STEP_ON 0
        mov     dword [trace_next], TRACE
        mov     dword [trace_dr6], 0
        mov     dword [faults], 0
        mov     dword [ex_hook], step_hook
        push    dword F_TF | 2
        popfd
%endmacro
; POPFD that clears TF is itself trapped after it has executed (TF was set when it began).
%macro STEP_OFF 0
        push    dword 2
%%popf: popfd
%%end:  mov     dword [ex_hook], 0
%endmacro

; The trace holds these EIPs, the three of STEP_OFF (behind PUSH, behind POPFD) follow.
%macro TRACED 1+
        mov     esi, TRACE
%%list: TRACED_LIST %1
%endmacro
%macro TRACED_LIST 0-*
  %rep %0
        EQ      [esi], %1
        add     esi, 4
    %rotate 1
  %endrep
        lea     eax, [esi + 8]
        EQ      [trace_next], eax
%endmacro

main:
        ; ---- straight code ----
        STEP_ON
        nop
.a1:    mov     eax, 1
.a2:    add     eax, eax
.a3:    STEP_OFF
        TRACED  .a1, .a2, .a3
        BITS_EQ [trace_dr6], 0xf00f, BS
        BITS_EQ [ex_eflags], F_TF | F_RF, 0             ; a trap; POPFD's own, which cleared TF
        EQ      [faults], 0

        ; ---- jumps, calls, a loop that is hot already ----
        mov     ecx, 200
.warm:  dec     ecx
        jnz     .warm
        mov     ecx, 3
        STEP_ON
        jmp     .warm2
        nop
.warm2: dec     ecx
.b1:    jnz     .warm2
.b2:    call    .sub
.b3:    STEP_OFF
        jmp     .b4
.sub:   ret
.b4:    TRACED  .warm2, .b1, .warm2, .b1, .warm2, .b1, .b2, .sub, .b3
        ; the same loop unstepped, then stepped from the middle
        mov     ecx, 50
        mov     ebx, 0
        mov     edx, 25
.mix:   inc     ebx
        cmp     ecx, edx
        jne     .mix2
        STEP_ON
.mix2:  loop    .mix
        STEP_OFF
        EQ      ebx, 50
        ; behind LOOP at ECX = 25; then 24 rounds of INC, CMP, JNE, LOOP; PUSH, POPFD
        EQ      [trace_next], TRACE + (1 + 24 * 4 + 2) * 4

        ; ---- REP: a trap behind each iteration, EIP is that of the instruction while it goes on ----
        mov     esi, DATA + 0x1000
        mov     edi, DATA + 0x2000
        mov     ecx, 3
        STEP_ON
.rep:   rep     movsb
.rep_end:
        STEP_OFF
        TRACED  .rep, .rep, .rep_end
        EQ      ecx, 0
        mov     ecx, 0
        STEP_ON
        rep     stosb
.rep0:  STEP_OFF
        TRACED  .rep0
        mov     ecx, 5
        mov     al, 1
        mov     edi, DATA + 0x1000
        mov     dword [edi], 0x01010100
        STEP_ON
.scas:  repne   scasb
.scas_end:
        STEP_OFF
        TRACED  .scas, .scas_end

        ; ---- MOV SS, POP SS: no trap behind them ----
        mov     eax, DATA32
        STEP_ON
        nop
.c1:    mov     ss, ax
        nop
.c2:    nop
.c3:    push    ss
.c4:    pop     ss
        nop
.c5:    STEP_OFF
        TRACED  .c1, .c2, .c3, .c4, .c5
        ; other segment registers do not hold it off
        mov     eax, DATA32
        STEP_ON
        mov     ds, ax
.d1:    cli
.d2:    STEP_OFF
        TRACED  .d1, .d2

        ; ---- INT n, INT3, INTO clear TF on the way to the handler: no trap behind them; the
        ; first trap is behind the instruction that IRET returns to ----
        SET_GATE 0x40, CODE32, plain_handler, A_TRAP32
        STEP_ON
        int     0x40
.e0:    nop
.e1:    STEP_OFF
        TRACED  .e1
        STEP_ON
        int3
        nop
.f1:    STEP_OFF
        TRACED  .f1
        EQ      [faults], 1
        ; a faulting instruction: no trap for it; the handler's IRET goes behind it
        mov     dword [ex_resume], .g1
        STEP_ON
        ud2
.g1:    nop
.g2:    STEP_OFF
        TRACED  .g2
        EQ      [faults], 1
        ; INT through a gate that faults
        mov     dword [ex_resume], .h1
        mov     dword [IDT + 0x48 * 8 + 4], 0
        STEP_ON
        int     0x48
.h1:    nop
.h2:    STEP_OFF
        TRACED  .h2
        EQ      [ex_vector], DB_

        ; ---- IRET that sets TF: the trap comes behind the instruction it returns to ----
        mov     dword [trace_next], TRACE
        mov     dword [ex_hook], step_hook
        push    dword F_TF | 2
        push    dword CODE32
        push    dword .i0
        iretd
.i0:    nop
.i1:    nop
.i2:    STEP_OFF
        TRACED  .i1, .i2
        ; POPF that clears it is trapped; POPF that sets it again too
        STEP_ON
        push    dword F_TF | 2
.j1:    popfd
.j2:    nop
.j3:    pushfd
.j4:    pop     edx
.j5:    STEP_OFF
        TRACED  .j1, .j2, .j3, .j4, .j5
        BITS_EQ edx, F_TF | F_RF, F_TF                  ; PUSHF shows TF
        ; PUSHF, CPUID, MOV CR, INVLPG, string instructions without REP, x87, SSE
        STEP_ON
        xor     eax, eax
.k0:    cpuid
.k1:    mov     eax, cr0
.k2:    mov     cr0, eax
.k3:    invlpg  [0]
.k4:    lodsb
.k5:    fninit
.k6:    fld1
.k7:    fstp    st0
.k8:    STEP_OFF
        TRACED  .k0, .k1, .k2, .k3, .k4, .k5, .k6, .k7, .k8

        ; ---- to CPL 3 and back: SUPERVISOR is an INT ----
        mov     dword [trace_next], TRACE
        mov     dword [ex_hook], step_hook
        mov     [kernel_esp], esp
        push    dword USER_DATA
        push    dword USER_STACK
        push    dword F_TF | 2
        push    dword USER_CODE
        push    dword .user
        iretd
.user:  nop
.l1:    mov     eax, USER_DATA
.l2:    mov     ds, eax
.l3:    SUPERVISOR
        mov     dword [ex_hook], 0
        EQ      [trace_next], TRACE + 12
        EQ      [TRACE], .l1
        EQ      [TRACE + 4], .l2
        EQ      [TRACE + 8], .l3
        EQ      [ex_cs], USER_CODE

        ; ---- far CALL and RET, JMP: trapped at the target ----
        STEP_ON
        call    CODE32:.far
.m1:    STEP_OFF
        jmp     .m2
.far:   retf
.m2:    TRACED  .far, .m1

        ; ---- self-modifying code while stepping ----
        xor     ebx, ebx
        mov     byte [.n1 + 2], 0
        STEP_ON
        mov     byte [.n1 + 2], 7
.n1:    add     ebx, byte 0
.n2:    STEP_OFF
        EQ      ebx, 7

        ; ---- INT1 (F1) and DR6: the handler is entered, BS stays clear ----
        xor     eax, eax
        mov     dr6, eax
        mov     dword [ex_resume], .o1
        mov     dword [ex_count], 0
        db      0xf1
.o1:    EQ      [ex_vector], DB_
        EQ      [ex_eip], .o1
        mov     eax, dr6
        BITS_EQ eax, 0xf00f, 0
        ret

plain_handler:
        nop
        iretd

step_hook:
        cmp     dword [ex_vector], DB_
        jne     .other
        mov     eax, [trace_next]
        mov     ecx, [ex_eip]
        mov     [eax], ecx
        add     dword [trace_next], 4
        mov     eax, dr6
        mov     [trace_dr6], eax
        xor     eax, eax
        mov     dr6, eax
        ret
.other: inc     dword [faults]
        mov     eax, [ex_resume]
        test    eax, eax
        jz      .no_resume
        mov     [ebp + FR_EIP], eax
        mov     dword [ex_resume], 0
        and     dword [ebp + FR_EFLAGS], ~F_RF
        ret
.no_resume:                             ; a trap that goes on by itself, or a surprise
        cmp     dword [ex_vector], BP_
        je      .end
        FAIL
.end:   ret
