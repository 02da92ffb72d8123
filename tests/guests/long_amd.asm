; tests/guests/long_amd.asm -- where AMD's processors differ in 64-bit mode: SYSCALL from
; compatibility mode and in protected mode, no SYSENTER, SYSRET to an address that is not canonical.
; [APM 2 6.1 "Fast System Call and Return", 6.1.2], [APM 3 "SYSCALL", "SYSRET", "SYSENTER"]
%include "long.inc"

seen    equ vars64
KSTACK  equ KERNEL_STACK - 0x800

main64:
        xor     eax, eax
        cpuid
        EQ      ebx, 'Auth'
        WRITE_MSR STAR, (CODE64 << 32) | ((USER_CODE32 & ~3) << 48)
        WRITE_MSR LSTAR, LINEAR(entry64)
        WRITE_MSR CSTAR, LINEAR(entry32)
        WRITE_MSR FMASK, F_CF | F_IF
        mov     r13d, 12
.loop:  ; from 64-bit code: LSTAR; from compatibility mode: CSTAR, in 64-bit mode both
        USER    3
        stc
        sti
        syscall
.back:  SUPERVISOR
        EQ64    [seen], 64
        EQ64    [seen + 8], LINEAR(.back)
        USER_COMPAT 3
        stc
        mov     ebp, esp
        syscall
.back32:
        jnc     .bad
        EQ      esp, ebp
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, USER_CODE32
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, USER_DATA64
        FAULTS  UD, 0, sysenter                 ; protected mode only
        FAULTS  UD, 0, sysexit
        SUPERVISOR
        EQ64    [seen], 32
        EQ64    [seen + 8], LINEAR(.back32)
        BITS_EQ [seen + 16], F_CF | F_IOPL, F_CF | F_IOPL
        BITS_EQ [seen + 24], F_CF | F_IF, 0
        WRITE_MSR SYSENTER_CS, CODE64
        FAULTS  UD, 0, sysenter
        FAULTS  UD, 0, o64 sysexit
        ; SYSRET does not ask whether RCX is canonical: #GP at the target, at level 3
        mov     rbx, 0x800000000000
        mov     qword [lx_hook], .to_kernel
        mov     qword [lx_count], 0
        mov     r12, rsp
        mov     rsp, USER_STACK
        mov     rcx, rbx
        mov     r11d, 2
        o64 sysret
.to_kernel:
        mov     qword [rbp + L_RIP], .faulted
        mov     qword [rbp + L_CS], CODE64
        mov     qword [rbp + L_SS], DATA64
        mov     [rbp + L_RSP], r12
        ret
.faulted:
        mov     qword [lx_hook], 0
        EQ64    [lx_count], 1
        EQ64    [lx_vector], GP
        EQ64    [lx_error], 0
        EQ64    [lx_rip], rbx
        EQ64    [lx_cs], USER_CODE64
        EQ64    [lx_rsp], USER_STACK
        EQ64    rsp, r12
        dec     r13d
        jnz     .loop
        ret
bits 32
.bad:   FAIL
bits 64

entry64:
        mov     qword [seen], 64
        jmp     entry
entry32:
        mov     qword [seen], 32
entry:  mov     [seen + 8], rcx
        mov     [seen + 16], r11
        mov     [seen + 32], rsp
        mov     rsp, KSTACK
        pushfq
        pop     qword [seen + 24]
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, CODE64
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, DATA64
        mov     rsp, [seen + 32]
        mov     rcx, [seen + 8]
        mov     r11, [seen + 16]
        cmp     dword [seen], 32
        je      .exit32
        o64 sysret
.exit32:
        sysret
