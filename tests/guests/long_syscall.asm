; tests/guests/long_syscall.asm -- SYSCALL, SYSRET, SYSENTER, SYSEXIT in 64-bit mode, on a processor
; that says GenuineIntel: what is loaded, masked, refused; single steps over them.
; [SDM 2B "SYSCALL", "SYSENTER", "SYSEXIT", "SYSRET"], [SDM 3A 5.8.7, 5.8.8]
%include "long.inc"

STAR_VALUE equ (CODE64 << 32) | ((USER_CODE32 & ~3) << 48)
KSTACK  equ KERNEL_STACK - 0x800
seen    equ vars64
steps   equ DATA + 0x800       ; RIPs of single steps

%macro CHECK_CS_SS 2
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, %1
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, %2
%endmacro

main64:
        WRITE_MSR STAR, STAR_VALUE
        WRITE_MSR LSTAR, LINEAR(entry)
        WRITE_MSR CSTAR, LINEAR(bad_entry)              ; Intel's never use it
        WRITE_MSR FMASK, F_IF | F_DF | F_CF
        READ_MSR STAR
        EQ64    rax, STAR_VALUE
        READ_MSR LSTAR
        EQ64    rax, LINEAR(entry)
        mov     r13d, 12
.round: mov     qword [seen], 0
        mov     rbx, 0x123456789abcdef0
        USER    3
        sti
        std
        stc
        mov     r14, rsp
        mov     rcx, -1
        mov     r11, -1
        mov     eax, 1
        syscall
.back:  pushfq
        pop     rbp
        cld
        EQ64    [seen], 1
        EQ64    [seen + 8], LINEAR(.back)               ; RCX
        BITS_EQ [seen + 16], F_IF | F_DF | F_CF | F_IOPL | 2, F_IF | F_DF | F_CF | F_IOPL | 2
        BITS_EQ [seen + 24], F_IF | F_DF | F_CF | F_IOPL, F_IOPL        ; masked
        EQ64    [seen + 32], r14                        ; RSP stays
        BITS_EQ rbp, F_IF | F_DF | F_CF | F_IOPL | F_RF, F_IF | F_DF | F_CF | F_IOPL
        CHECK_CS_SS USER_CODE64, USER_DATA64
        EQ64    rcx, LINEAR(.back)
        EQ64    rsp, r14
        EQ64    rbx, 0x123456789abcdef0
        ; SYSRET to 32-bit code
        mov     eax, 2
        syscall
bits 32
.compat:
        CHECK_CS_SS USER_CODE32, USER_DATA64
        mov     eax, USER_DATA64
        mov     ds, eax
        mov     es, eax
        EQ      [seen], 2
        FAULTS  UD, 0, syscall                          ; not in compatibility mode
        FAULTS  GP, 0, sysexit
        SUPERVISOR
        dec     r13d
        jnz     .round

        ; ---- SYSCALL at CPL 0 ----
        mov     r14, rsp
        mov     eax, 3
        syscall
.same:  EQ64    rsp, r14
        EQ64    rcx, LINEAR(.same)
        CHECK_CS_SS CODE64, DATA64

        ; ---- refusals ----
        FAULTS  UD, 0, db 0xf0, 0x0f, 0x05                ; LOCK
        mov     rcx, 0x800000000000
        mov     r11d, 2
        FAULTS  GP, 0, o64 sysret                       ; at CPL 0, nothing changed
        EQ64    [lx_cs], CODE64
        EQ64    [lx_rsp], r14
        mov     rcx, 0xffff7fffffffffff
        FAULTS  GP, 0, o64 sysret
        USER
        mov     ecx, .none
        FAULTS  GP, 0, o64 sysret
        FAULTS  GP, 0, sysret
        FAULTS  GP, 0, sysexit
        SUPERVISOR
        COMPAT
        mov     ecx, .none
        FAULTS  UD, 0, sysret
        FAULTS  UD, 0, syscall
        LONG
        READ_MSR EFER
        and     eax, ~EFER_SCE
        wrmsr
        FAULTS  UD, 0, syscall
        mov     ecx, .none
        FAULTS  UD, 0, o64 sysret
        FAULTS  UD, 0, sysret
        USER
        FAULTS  UD, 0, syscall
        mov     ecx, .none
        FAULTS  UD, 0, o64 sysret
        SUPERVISOR
        READ_MSR EFER
        or      eax, EFER_SCE
        wrmsr

        ; ---- what STAR names is not read: flat segments whatever the table says ----
        WRITE_MSR STAR, (0x180 << 32) | (0x190 << 48)
        USER
        mov     eax, 4
        syscall
.flat:  CHECK_CS_SS 0x1a3, 0x19b
        mov     eax, [DATA]
        push    rax
        pop     rax
        EQ64    [seen + 40], 0x180
        EQ64    [seen + 48], 0x188
        mov     eax, 5                                  ; the same with real ones
        syscall
        SUPERVISOR
        WRITE_MSR STAR, STAR_VALUE
        ; RPL bits of STAR: SYSCALL clears those of CS, SYSRET sets them
        WRITE_MSR STAR, STAR_VALUE | (3 << 48)
        USER
        mov     eax, 6
        syscall
        CHECK_CS_SS USER_CODE64, USER_DATA64
        SUPERVISOR
        WRITE_MSR STAR, STAR_VALUE

        ; ---- flags: SYSRET loads all but RF, VM and the reserved ----
        USER
        mov     eax, 7
        syscall
        pushfq
        pop     rbp
        EQ64    rbp, 0x3c7fd7 & ~(F_TF | F_AC)
        SUPERVISOR
        ; a mask of everything
        WRITE_MSR FMASK, 0xffffffff
        USER    3
        stc
        mov     eax, 8
        syscall
        SUPERVISOR
        EQ64    [seen + 24], 2
        mov     edx, 1
        FAULTS  GP, 0, wrmsr                            ; the upper half is reserved
        WRITE_MSR FMASK, F_IF | F_DF | F_CF

        call    stepping
        call    sysenter64
        ret
.none:  FAIL

bad_entry:
        FAIL

; EAX says what is wanted
entry:  mov     [seen + 8], rcx
        mov     [seen + 16], r11
        mov     [seen + 32], rsp
        mov     rsp, KSTACK
        pushfq
        pop     qword [seen + 24]
        mov     [seen], rax
        mov     r9, cs
        mov     [seen + 40], r9
        mov     r9, ss
        mov     [seen + 48], r9
        cmp     eax, 7
        je      .flags
        cmp     eax, 5
        je      .star
        cmp     eax, 4
        je      .return
        CHECK_CS_SS CODE64, DATA64
        mov     rax, [seen]
        FAULTS  UD, 0, ud2                              ; exceptions from here stay at CPL 0
        EQ64    [lx_ss], DATA64
        cmp     dword [seen], 3
        je      .same
        cmp     dword [seen], 2
        jne     .return
        mov     rsp, [seen + 32]
        mov     rcx, [seen + 8]
        mov     rax, 0x5555555500000000
        or      rcx, rax                                ; only ECX counts
        mov     r11, [seen + 16]
        sysret
.return:
        mov     rsp, [seen + 32]
        mov     rcx, [seen + 8]
        mov     r11, [seen + 16]
        o64 sysret
.same:  mov     rsp, [seen + 32]
        mov     rcx, [seen + 8]
        jmp     rcx
.star:  mov     rbx, [seen + 8]
        mov     rbp, [seen + 16]
        WRITE_MSR STAR, STAR_VALUE
        mov     rcx, rbx
        mov     r11, rbp
        mov     rsp, [seen + 32]
        o64 sysret
.flags: mov     rsp, [seen + 32]
        mov     r11, ~(F_TF | F_AC)
        o64 sysret

; ---- TF: a trap as the flags say that SYSCALL and SYSRET leave [Xen security advisory 204] ----
%macro STEPS 1-*                ; these RIPs, no others
        mov     ebx, steps
  %rep %0
        EQ64    [rbx], LINEAR(%1)
        add     ebx, 8
    %rotate 1
  %endrep
        EQ64    [seen + 64], rbx
%endmacro
%macro STEP_HOOK 0
        mov     qword [seen + 64], steps
        mov     qword [lx_hook], step_hook
%endmacro

stepping:
        mov     r13d, 4
.loop:  ; masked: no trap in the kernel; SYSRET sets TF again, which traps at its target
        WRITE_MSR FMASK, F_TF | F_IF
        WRITE_MSR LSTAR, LINEAR(.entry)
        STEP_HOOK
        USER    0, F_TF
.a0:    nop
.a1:    syscall
.a2:    nop
.a3:    SUPERVISOR
        mov     qword [lx_hook], 0
        STEPS   .a1, .a2, .a3
        EQ64    [lx_cs], USER_CODE64
        BITS_EQ [seen + 72], 0xf00f, 0x4000             ; DR6.BS
        ; not masked: a trap behind SYSCALL, in the kernel
        WRITE_MSR FMASK, F_IF
        STEP_HOOK
        USER    0, F_TF
.b0:    nop
.b1:    syscall
.b2:    SUPERVISOR
        mov     qword [lx_hook], 0
        STEPS   .b1, .entry, .entry1, .entry2, .b2
        ; TF comes with R11 only
        WRITE_MSR FMASK, F_IF
        WRITE_MSR LSTAR, LINEAR(.entry_tf)
        STEP_HOOK
        USER
        nop
        syscall
.c1:    nop
.c2:    nop
.c3:    SUPERVISOR
        mov     qword [lx_hook], 0
        STEPS   .c1, .c2, .c3
        ; SYSRET steps away from code that is stepped itself
        WRITE_MSR LSTAR, LINEAR(.entry_steps)
        STEP_HOOK
        USER
        syscall
.d1:    nop
        SUPERVISOR
        mov     qword [lx_hook], 0
        STEPS   .d2, .d3
        WRITE_MSR LSTAR, LINEAR(entry)
        WRITE_MSR FMASK, F_IF | F_DF | F_CF
        dec     r13d
        jnz     .loop
        ret
.entry: nop
.entry1: nop
.entry2: o64 sysret
.entry_tf:
        or      r11, F_TF
        o64 sysret
.entry_steps:
        mov     [seen + 32], rsp
        mov     rsp, KSTACK
        push    F_TF | 2
        popfq
        mov     rsp, [seen + 32]
.d2:    nop
.d3:    o64 sysret

step_hook:
        EQ64    [lx_vector], DB_
        mov     rax, [seen + 64]
        mov     rcx, [lx_rip]
        mov     [rax], rcx
        add     qword [seen + 64], 8
        mov     rax, dr6
        mov     [seen + 72], rax
        xor     eax, eax
        mov     dr6, rax
        ret

; ---- SYSENTER and SYSEXIT: 64-bit MSRs, from 64-bit and compatibility mode ----
sysenter64:
        WRITE_MSR SYSENTER_CS, CODE64
        WRITE_MSR SYSENTER_ESP, KSTACK | (0x7fff << 32)
        READ_MSR SYSENTER_ESP
        EQ64    rax, KSTACK | (0x7fff << 32)
        WRITE_MSR SYSENTER_ESP, KSTACK
        WRITE_MSR SYSENTER_EIP, LINEAR(.entry)
        mov     r13d, 12
.round: USER    3
        sti
        stc
        mov     rcx, rsp
        mov     edx, .back
        mov     eax, 1
        sysenter
.back:  CHECK_CS_SS USER_CODE64, (USER_CODE64 + 8)
        EQ64    rsp, USER_STACK
        EQ64    [seen], 1
        BITS_EQ [seen + 24], F_IF | F_CF | F_IOPL, F_CF | F_IOPL
        SUPERVISOR
        USER_COMPAT 3
        mov     ecx, esp
        mov     edx, .back32
        mov     eax, 2
        sysenter
.back32:
        CHECK_CS_SS USER_CODE32, USER_DATA64
        EQ      esp, USER_STACK
        EQ      [seen], 2
        SUPERVISOR
        dec     r13d
        jnz     .round
        ; to 64-bit code from a call out of compatibility mode
        USER_COMPAT
        mov     ecx, esp
        mov     edx, .back64
        mov     eax, 1
        sysenter
bits 64
.back64:
        CHECK_CS_SS USER_CODE64, (USER_CODE64 + 8)
        SUPERVISOR
        ; 32-bit SYSEXIT takes the lower halves
        USER
        mov     rdx, LINEAR(.high) + (0x77 << 32)
        mov     rcx, USER_STACK | (0x66 << 32)
        mov     eax, 2
        sysenter
bits 32
.high:  CHECK_CS_SS USER_CODE32, USER_DATA64
        EQ      esp, USER_STACK
        SUPERVISOR
        ; SYSEXIT with addresses that are not canonical
        mov     rdx, 0x800000000000
        mov     ecx, USER_STACK
        FAULTS  GP, 0, o64 sysexit
        EQ64    [lx_cs], CODE64
        mov     rcx, 0x800000000000
        mov     edx, .back
        FAULTS  GP, 0, o64 sysexit
        ; the MSRs: canonical
        mov     ecx, SYSENTER_ESP
        xor     eax, eax
        mov     edx, 0x8000
        FAULTS  GP, 0, wrmsr
        mov     ecx, SYSENTER_EIP
        FAULTS  GP, 0, wrmsr
        WRITE_MSR SYSENTER_CS, 0
        FAULTS  GP, 0, sysenter
        FAULTS  GP, 0, o64 sysexit
        USER
        FAULTS  GP, 0, sysenter
        SUPERVISOR
        WRITE_MSR SYSENTER_CS, 3                        ; null, whatever the RPL
        FAULTS  GP, 0, sysenter
        ; TF is not masked: the kernel is stepped into
        WRITE_MSR SYSENTER_CS, CODE64
        STEP_HOOK
        USER    0, F_TF
.s0:    mov     rcx, rsp
.s1:    mov     edx, .s4
.s2:    mov     eax, 3
.s3:    sysenter
.s4:    nop
.s5:    SUPERVISOR
        mov     qword [lx_hook], 0
        STEPS   .s1, .s2, .s3, .entry, .entry1, .entry2, .entry3, .entry4
        ret
.entry: cmp     eax, 3
.entry1: je     .step
        pushfq
        pop     qword [seen + 24]
        mov     [seen], rax
        mov     rbx, rsp
        EQ64    rbx, KSTACK
        mov     r9, rcx
        mov     r10, rdx
        CHECK_CS_SS CODE64, DATA64
        mov     rcx, r9
        mov     rdx, r10
        cmp     dword [seen], 2
        je      .exit32
        o64 sysexit
.exit32: sysexit
.step:
.entry2: push   2
.entry3: popfq
.entry4: o64 sysexit
