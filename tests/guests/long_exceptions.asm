; tests/guests/long_exceptions.asm -- each exception in 64-bit mode: vector, error code, the pushed
; frame (SS:RSP always, RSP aligned to 16), RF, registers; from CPL 0, CPL 3 and compatibility mode.
; What 64-bit gates are checked for.
; [SDM 3A 6.14 "Exception and Interrupt Handling in 64-bit Mode", 6.15], [SDM 2A "INT n"]
%include "long.inc"

RSP0    equ KERNEL_STACK - 0x1000

; Frame of the last exception at CPL 0: RSP as it was, everything below it, aligned.
%macro FRAME0 0
        EQ64    [lx_rsp], rsp
        EQ64    [lx_cs], CODE64
        EQ64    [lx_ss], DATA64
        EQ64    [lx_now_ss], DATA64             ; no change of level: SS stays
        mov     rax, rsp
        and     rax, ~15
        sub     rax, 40
        EQ64    [lx_frame], rax
%endmacro

main64:
        mov     r14, 0x1122334455667788
        mov     r13d, 4
.loop:  xor     ecx, ecx
        mov     eax, 1
        FAULTS  DE, 0, div ecx
        FRAME0
        BITS_EQ [lx_rflags], F_RF | F_TF | F_VM, F_RF
        EQ64    [lx_regs + L_R14], r14
        mov     rax, 0x8000000000000000
        cqo
        mov     rcx, -1
        FAULTS  DE, 0, idiv rcx
        EQ64    [lx_regs + L_RAX], 0x8000000000000000
        EQ64    [lx_regs + L_RDX], -1
        mov     rax, 1
        mov     rdx, 1
        mov     ecx, 1
        FAULTS  DE, 0, div rcx
        ; by zero, from every kind of place; the bits above the operand do not count
        mov     r10, 0x1234567800000000
        mov     [DATA], r10
        mov     rax, 0x8877665544332211
        mov     rdx, 0x1020304050607080
        FAULTS  DE, 0, div r10d
        FAULTS  DE, 0, idiv r10w
        FAULTS  DE, 0, div r10b
        FAULTS  DE, 0, idiv dword [DATA]
        FAULTS  DE, 0, div word [DATA + 2]
        FAULTS  DE, 0, idiv byte [DATA + 3]
        EQ64    [lx_regs + L_RAX], 0x8877665544332211
        EQ64    [lx_regs + L_RDX], 0x1020304050607080
        EQ64    [lx_regs + L_R10], 0x1234567800000000
        xor     r10d, r10d
        mov     [DATA], r10
        FAULTS  DE, 0, div r10
        FAULTS  DE, 0, idiv qword [DATA]
        mov     eax, 0x40
        FAULTS  DE, 0, div ah
        FAULTS  UD, 0, ud2
        FRAME0
        TRAPS   BP_, int3
        FRAME0
        BITS_EQ [lx_rflags], F_RF, 0
        TRAPS   0x41, int 0x41
        FRAME0
        mov     word [.selector], 0x1f8 | 4             ; no LDT
        FAULTS  GP, 0x1fc, mov ds, [.selector]
        FRAME0
        FAULTS  GP, 0, lgdt [r14]                       ; not canonical
        ; misaligned stacks: the frame is at an aligned address all the same
        mov     r12, rsp
        mov     r15d, 15
.align: mov     rsp, r12
        sub     rsp, r15
        mov     r11, rsp
        FAULTS  UD, 0, ud2
        EQ64    [lx_rsp], r11
        mov     rax, r11
        and     rax, ~15
        sub     rax, 40
        EQ64    [lx_frame], rax
        EQ64    rsp, r11
        FAULTS  GP, 0x1fc, mov ds, [.selector]
        EQ64    [lx_frame], rax
        EQ64    rsp, r11
        dec     r15d
        jns     .align
        mov     rsp, r12
        ; forms that 64-bit mode does not have
        FAULTS  UD, 0, db 0x06                          ; PUSH ES
        FAULTS  UD, 0, db 0x0e                          ; PUSH CS
        FAULTS  UD, 0, db 0x1f                          ; POP DS
        FAULTS  UD, 0, db 0x27                          ; DAA
        FAULTS  UD, 0, db 0x37                          ; AAA
        FAULTS  UD, 0, db 0x60                          ; PUSHA
        FAULTS  UD, 0, db 0x61
        FAULTS  UD, 0, db 0x82, 0xc0, 0x01              ; another ADD AL, imm8
        FAULTS  UD, 0, db 0x9a, 0, 0, 0, 0, 0x40, 0     ; CALL ptr16:32
        FAULTS  UD, 0, db 0xea, 0, 0, 0, 0, 0x40, 0     ; JMP ptr16:32
        FAULTS  UD, 0, db 0xce                          ; INTO
        FAULTS  UD, 0, db 0xd4, 10                      ; AAM
        FAULTS  UD, 0, db 0xd6                          ; SALC
        ; #NM
        CR_SET  cr0, CR0_TS
        FAULTS  NM, 0, fld1
        FRAME0
        FAULTS  UD, 0, movaps xmm0, xmm1                ; no CR4.OSFXSR
        CR_SET  cr4, CR4_OSFXSR
        FAULTS  NM, 0, movaps xmm0, xmm1
        clts
        movaps  xmm0, xmm1
        ; #XM, #MF
        FAULTS  GP, 0, movaps xmm0, [.selector + 1]     ; misaligned
        CR_SET  cr4, CR4_OSXMMEXCPT
        ldmxcsr [.unmasked]
        xorps   xmm1, xmm1
        mov     eax, 0x3f800000
        movd    xmm0, eax
        FAULTS  XM, 0, divps xmm0, xmm1
        FRAME0
        ldmxcsr [.masked]
        CR_CLEAR cr4, CR4_OSXMMEXCPT | CR4_OSFXSR
        fninit
        mov     word [.selector], 0x37b                 ; #Z unmasked
        fldcw   [.selector]
        fld1
        fldz
        fdivp
        FAULTS  MF, 0, fwait
        FRAME0
        fninit
        dec     r13d
        jnz     .loop

        ; ---- #AC: CPL 3 only ----
        CR_SET  cr0, CR0_AM
        mov     r13d, 4
.ac:    mov     eax, [DATA + 1]
        USER    0, F_AC
        FAULTS  AC, 0, mov eax, [DATA + 1]
        EQ64    [lx_frame], RSP0 - 40
        FAULTS  AC, 0, mov rax, [DATA + 4]
        mov     eax, [DATA + 4]
        mov     al, [DATA + 1]
        mov     rsp, USER_STACK - 4
        FAULTS  AC, 0, push rax
        EQ64    rsp, USER_STACK - 4
        FAULTS  AC, 0, lock add [DATA + 2], eax
        SUPERVISOR
        dec     r13d
        jnz     .ac
        CR_CLEAR cr0, CR0_AM
        ; ---- from CPL 3: RSP0, SS null, the old stack in the frame ----
        mov     r13d, 4
.user:  USER
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], RSP0 - 40
        EQ64    [lx_rsp], USER_STACK
        EQ64    [lx_ss], USER_DATA64
        EQ64    [lx_cs], USER_CODE64
        EQ64    [lx_now_ss], 0
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, USER_DATA64
        sub     rsp, 3
        FAULTS  GP, 0, hlt
        EQ64    [lx_rsp], USER_STACK - 3
        EQ64    [lx_frame], RSP0 - 40
        FAULTS  GP, 0, cli
        FAULTS  GP, 0, in al, 0x60
        FAULTS  GP, 0, mov rax, cr0
        FAULTS  GP, 0, mov cr8, rax
        FAULTS  GP, 0, mov rax, dr7
        FAULTS  GP, 0, wrmsr
        FAULTS  GP, 0, rdmsr
        FAULTS  GP, 0, invlpg [0]
        FAULTS  GP, 0, swapgs
        FAULTS  GP, 0, o64 sysret
        FAULTS  GP, 0, lgdt [gdt_pointer]
        FAULTS  GP, 0, ltr ax
        FAULTS  GP, 0, clts
        FAULTS  GP, 0, wbinvd
        FAULTS  GP, 0, invd
        FAULTS  GP, 0, lmsw ax
        SUPERVISOR
        dec     r13d
        jnz     .user

        ; ---- from compatibility mode: the same 64-bit frame ----
.compat:
        mov     r13d, 4
.compat_loop:
        COMPAT
        FAULTS  UD, 0, ud2
        EQ      [lx_cs], CODE32
        EQ      [lx_ss], DATA64
        EQ      [lx_rsp], esp
        EQ      [lx_rsp + 4], 0
        mov     eax, esp
        and     eax, ~15
        sub     eax, 40
        EQ      [lx_frame], eax
        mov     eax, 0x7fffffff
        mov     ecx, 1
        add     eax, ecx
        TRAPS   OF_, into
        LONG
        USER_COMPAT
        FAULTS  UD, 0, ud2
        EQ      [lx_cs], USER_CODE32
        EQ      [lx_ss], USER_DATA64
        EQ      [lx_frame], RSP0 - 40
        EQ      [lx_rsp], USER_STACK
        FAULTS  GP, 0, cli
        mov     eax, 0x1f8
        FAULTS  GP, 0x1f8, mov es, ax
        FAULTS  GP, 0x41 * 8 + 2, int 0x41
        SUPERVISOR
        dec     r13d
        jnz     .compat_loop
        call    gates
        ret
align 8
.selector: dw 0
align 4
.unmasked: dd 0x1d80
.masked: dd 0x1f80

; ---- the gate, the code segment, the stack ----
%macro GATE 5                   ; selector, target, access, IST: INT 0x40 raises vector, error
        SET_GATE64 0x40, %1, %2, %3, 0
        FAULTS  %4, %5, int 0x40
%endmacro
ERROR40 equ 0x40 * 8 + 2

gates:
        mov     r13d, 4
.loop:  GATE    CODE64, LINEAR(.none), A_INT32 & ~0x80, NP, ERROR40
        GATE    CODE64, LINEAR(.none), 0x80 | 5, GP, ERROR40            ; task gate
        GATE    CODE64, LINEAR(.none), 0x80 | 6, GP, ERROR40            ; 16-bit gates
        GATE    CODE64, LINEAR(.none), 0x80 | 7, GP, ERROR40
        GATE    CODE64, LINEAR(.none), 0x80 | 12, GP, ERROR40           ; call gate
        GATE    CODE64, LINEAR(.none), 0, GP, ERROR40                   ; type before presence
        GATE    0, LINEAR(.none), A_INT32, GP, 0                        ; null
        GATE    0x1f8 | 3, LINEAR(.none), A_INT32, GP, 0x1f8
        GATE    DATA64, LINEAR(.none), A_INT32, GP, DATA64
        GATE    CODE32, LINEAR(.none), A_INT32, GP, CODE32              ; no L
        GATE    USER_CODE64, LINEAR(.none), A_INT32, GP, USER_CODE64 & ~3
        SET_DESC FREE64, 0, 0, A_CODE, L_BIT | D_32                     ; L and D
        GATE    FREE64, LINEAR(.none), A_INT32, GP, FREE64
        SET_DESC FREE64, 0, 0, A_CODE & ~0x80, L_BIT
        GATE    FREE64, LINEAR(.none), A_INT32, NP, FREE64
        GATE    CODE64, 0x800000000000, A_INT32, GP, 0                  ; not canonical
        GATE    CODE64, 0x7fff12345678 | (1 << 63), A_INT32, GP, 0
        GATE    TSS64_SEL, LINEAR(.none), A_INT32, GP, TSS64_SEL
        ; at the end of the table
        FAULTS  GP, VECTORS * 8 + 2, int VECTORS
        FAULTS  GP, 255 * 8 + 2, int 255
        lidt    [.short]
        FAULTS  GP, 0x41 * 8 + 2, int 0x41                              ; one byte is missing
        lidt    [.whole]
        ; DPL: INT n, INT3 (INTO is not there); exceptions are not asked
        SET_GATE64 0x40, CODE64, LINEAR(long_stubs + 0x40 * 16), A_INT32, 0
        TRAPS   0x40, int 0x40
        USER
        FAULTS  GP, ERROR40, int 0x40
        FAULTS  UD, 0, ud2
        TRAPS   BP_, int3
        SUPERVISOR
        SET_GATE64 0x40, CODE64, LINEAR(long_stubs + 0x40 * 16), 0x80 | A_INT32 | DPL3, 0
        SET_GATE64 BP_, CODE64, LINEAR(long_stubs + BP_ * 16), A_INT32, 0
        USER
        TRAPS   0x40, int 0x40
        FAULTS  GP, BP_ * 8 + 2, int3
        SUPERVISOR
        SET_GATE64 BP_, CODE64, LINEAR(long_stubs + BP_ * 16), A_INT32 | DPL3, 0
        ; interrupt gates clear IF, trap gates do not; both clear TF, NT and RF
        mov     qword [lx_hook], 0
        SET_GATE64 0x40, CODE64, LINEAR(.flags), A_INT32, 0
        push    F_IF | F_NT | F_CF | 2
        popfq
        int     0x40
        pushfq
        pop     rbx
        BITS_EQ rbx, F_IF | F_NT, F_IF | F_NT
        EQ64    r12, F_CF | 2
        SET_GATE64 0x40, CODE64, LINEAR(.flags), A_TRAP32, 0
        push    F_IF | F_NT | F_CF | 2
        popfq
        int     0x40
        EQ64    r12, F_IF | F_CF | 2
        push    2
        popfq
        ; a conforming handler runs at the level that was interrupted, on its stack
        SET_DESC FREE64, 0, 0, A_CODE | 4, L_BIT
        SET_GATE64 0x40, FREE64, LINEAR(.conforming), A_INT32 | DPL3, 0
        USER
        mov     rbx, rsp
        int     0x40
        EQ64    rsp, rbx
        EQ64    r12, FREE64 | 3
        EQ64    r11, (USER_STACK & ~15) - 40
        SUPERVISOR
        ; RSP0 that cannot be used: #SS with the (null) selector, #PF; the frame is that of CPL 3
        mov     dword [TSS64 + 8], 0x00008000                           ; not canonical
        SET_GATE64 0x40, CODE64, LINEAR(long_stubs + 0x40 * 16), A_INT32 | DPL3, 0
        SET_GATE64 SS_, CODE64, LINEAR(long_stubs + SS_ * 16), A_INT32, 1
        SET_GATE64 PF, CODE64, LINEAR(long_stubs + PF * 16), A_INT32, 1
        mov     dword [TSS64 + 36], KERNEL_STACK - 0x800                ; IST1
        SET_GATE64 V_SUPERVISOR, CODE64, LINEAR(long_supervisor), A_INT32 | DPL3, 1
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32 | DPL3, 1
        USER
        FAULTS  SS_, 0, int 0x40
        EQ64    [lx_cs], USER_CODE64
        EQ64    [lx_rsp], USER_STACK
        SUPERVISOR
        mov     dword [TSS64 + 8], 0
        mov     dword [TSS64 + 4], 0x1000010                            ; beyond memory's mapping
        USER
        PAGE_FAULTS PF_W, 0x1000008, int 0x40
        SUPERVISOR
        mov     dword [TSS64 + 4], RSP0
        RESET_GATE64 PF
        RESET_GATE64 SS_
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32 | DPL3, 0
        SET_GATE64 V_SUPERVISOR, CODE64, LINEAR(long_supervisor), A_INT32 | DPL3, 0
        dec     r13d
        jnz     .loop
        ret
.none:  FAIL
.flags: pushfq
        pop     r12
        iretq
.conforming:
        mov     r12, cs
        mov     r11, rsp
        iretq
.short: dw      0x42 * 16 - 2
        dq      IDT64
.whole: dw      VECTORS * 16 - 1
        dq      IDT64
