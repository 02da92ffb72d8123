; tests/guests/long_smap.asm -- SMEP, SMAP with EFLAGS.AC, STAC and CLAC, the processor's own accesses
; to its tables under SMAP; UMIP.
; [SDM 3A 4.6.1 "Determination of Access Rights", 4.7], [SDM 2B "STAC", "CLAC"], [SDM 3A 2.5 UMIP]
%include "long.inc"

USER_PAGE equ 0x220000          ; code
USER_RW equ 0x221000            ; data and stack
USER_TABLES equ 0x222000        ; GDT, IDT, TSS for a while
IST1    equ KERNEL_STACK - 0x800
P_USER  equ P_P | P_W | P_U

; CPL 3 runs a piece of code on the user page, to an exception: vector, name
%macro USER_TO 2
        mov     qword [lx_hook], to_kernel
        mov     dword [lx_count], 0
        mov     [vars64 + 16], rsp
        mov     qword [vars64 + 8], %%back
        push    USER_DATA64
        push    USER_RW + 0x1000
        push    qword [vars64 + 24]             ; flags
        push    USER_CODE64
        push    USER_PAGE + (%2 - user_code)
        iretq
%%back: mov     qword [lx_hook], 0
        EQ      [lx_count], 1
        EQ      [lx_vector], %1
        EQ      [lx_cs], USER_CODE64
%endmacro
%macro USER_PAGE_FAULTS 3       ; error, address, name
        USER_TO PF, %3
        EQ      [lx_error], %1
        EQ64    [lx_cr2], %2
        EQ64    [lx_rip], USER_PAGE + (%3 - user_code)
%endmacro
%macro JUMP_FAULTS 2            ; error, register: the fetch at the target faults
        mov     dword [lx_resume], %%next
        mov     dword [lx_count], 0
        jmp     %2
%%next: EQ      [lx_count], 1
        EQ      [lx_vector], PF
        EQ      [lx_error], %1
        EQ64    [lx_rip], %2
        EQ64    [lx_cr2], %2
%endmacro

main64:
        mov     qword [vars64 + 24], 2
        mov     esi, user_code
        mov     edi, USER_PAGE
        mov     ecx, user_code_end - user_code
        rep     movsb
        call    umip
        ; memory below 2 MiB is the supervisor's
        and     dword [PD], ~P_U
        FLUSH64
        mov     ebx, USER_RW
        mov     dword [rbx], 0x1234
        mov     r13d, 4
.loop:
        ; ---- SMEP ----
        mov     eax, USER_PAGE + (user_ret - user_code)
        call    rax
        EQ      eax, 0x77
        CR_SET  cr4, CR4_SMEP
        mov     eax, USER_PAGE + (user_ret - user_code)
        mov     r12, rsp
        JUMP_FAULTS PF_P | PF_I, rax
        ; code that level 3 has run before, and often
        mov     r15d, 20
.hot:   USER_TO BP_, user_calls
        dec     r15d
        jnz     .hot
        mov     eax, USER_PAGE + (user_ret - user_code)
        JUMP_FAULTS PF_P | PF_I, rax
        mov     eax, USER_PAGE + (user_ret - user_code)
        mov     dword [lx_resume], .called
        mov     dword [lx_count], 0
        call    rax
        FAIL
.called:
        EQ64    [lx_rip], USER_PAGE + (user_ret - user_code)
        EQ64    [lx_error], PF_P | PF_I
        pop     rcx                             ; the call has happened
        EQ64    rsp, r12
        push    rax
        mov     dword [lx_resume], .returned
        ret
.returned:
        EQ64    [lx_error], PF_P | PF_I
        EQ64    rsp, r12
        mov     ecx, [rbx]                      ; data is free
        ; AC does not matter to it, nor does NXE to the error code
        stac
        JUMP_FAULTS PF_P | PF_I, rax
        clac
        READ_MSR EFER
        and     eax, ~EFER_NXE
        wrmsr
        mov     eax, USER_PAGE + (user_ret - user_code)
        JUMP_FAULTS PF_P | PF_I, rax
        MAP64   USER_PAGE, 0, 0
        JUMP_FAULTS PF_I, rax
        MAP64   USER_PAGE, USER_PAGE | P_USER, 0
        READ_MSR EFER
        or      eax, EFER_NXE
        wrmsr
        ; U must be set at every level to make a user page
        and     dword [PDPT], ~P_U
        FLUSH64
        mov     eax, USER_PAGE + (user_ret - user_code)
        call    rax
        or      dword [PDPT], P_U
        FLUSH64
        CR_CLEAR cr4, CR4_SMEP
        mov     eax, USER_PAGE + (user_ret - user_code)
        call    rax
        EQ      eax, 0x77

        ; ---- SMAP ----
        CR_SET  cr4, CR4_SMAP
        call    kernel_reads_user
        CR_CLEAR cr4, CR4_SMAP
        EQ      [rbx], 0x1234
        call    tables_on_user_pages
        dec     r13d
        jnz     .loop
        ret

kernel_reads_user:
        mov     r15d, 30
.hot:   PAGE_FAULTS PF_P, USER_RW, mov eax, [rbx]
        PAGE_FAULTS PF_P | PF_W, USER_RW + 4, mov [rbx + 4], eax
        PAGE_FAULTS PF_P | PF_W, USER_RW, add dword [rbx], 0
        stac
        mov     eax, [rbx]
        mov     [rbx + 4], eax
        clac
        PAGE_FAULTS PF_P, USER_RW, cmp [rbx], eax
        EQ      eax, 0x1234
        pushfq
        or      qword [rsp], F_AC
        popfq
        mov     eax, [rbx]
        pushfq
        and     qword [rsp], ~F_AC
        popfq
        PAGE_FAULTS PF_P, USER_RW, cmp [rbx], eax
        dec     r15d
        jnz     .hot
        ; AC by IRET
        mov     rax, rsp
        push    DATA64
        push    rax
        push    F_AC | 2
        push    CODE64
        push    .ac
        iretq
.ac:    mov     eax, [rbx]
        ; a fault's handler keeps AC; its IRET brings it back
        FAULTS  UD, 0, ud2
        BITS_EQ [lx_rflags], F_AC, F_AC
        mov     eax, [rbx]
        clac
        ; strings, stack, bit strings, x87
        mov     esi, USER_RW
        mov     edi, DATA
        mov     ecx, 8
        PAGE_FAULTS PF_P, USER_RW, rep movsb
        EQ      ecx, 8
        mov     esi, DATA
        mov     edi, USER_RW + 0x100
        PAGE_FAULTS PF_P | PF_W, USER_RW + 0x100, rep movsq
        PAGE_FAULTS PF_P | PF_W, USER_RW + 0x100, stosb
        mov     r12, rsp
        mov     rsp, USER_RW + 0x800
        SET_GATE64 PF, CODE64, LINEAR(long_stubs + PF * 16), A_INT32, 1
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32, 1
        mov     dword [TSS64 + 36], IST1
        PAGE_FAULTS PF_P | PF_W, USER_RW + 0x7f8, push rax
        PAGE_FAULTS PF_P, USER_RW + 0x800, pop rax
        PAGE_FAULTS PF_P | PF_W, USER_RW + 0x7f8, call .ac
        PAGE_FAULTS PF_P, USER_RW + 0x800, ret
        PAGE_FAULTS PF_P | PF_W, USER_RW + 0x7f8, int 0x41
        EQ64    rsp, USER_RW + 0x800
        mov     rsp, r12
        PAGE_FAULTS PF_P, USER_RW + 8, fld qword [rbx + 8]
        PAGE_FAULTS PF_P | PF_W, USER_RW + 8, bts dword [rbx + 8], 3
        ; reads of what is not there, of read-only pages; WP off
        MAP64   USER_RW, 0, 0
        PAGE_FAULTS 0, USER_RW, mov eax, [rbx]
        MAP64   USER_RW, USER_RW | P_P | P_U, 0
        PAGE_FAULTS PF_P, USER_RW, mov eax, [rbx]
        stac
        mov     eax, [rbx]
        PAGE_FAULTS PF_P | PF_W, USER_RW, mov [rbx], eax
        CR_CLEAR cr0, CR0_WP
        mov     eax, 0x1234
        mov     [rbx], eax
        clac
        PAGE_FAULTS PF_P | PF_W, USER_RW, mov [rbx], eax
        CR_SET  cr0, CR0_WP
        MAP64   USER_RW, USER_RW | P_USER, 0
        ; fetches are not its business
        mov     eax, USER_PAGE + (user_ret - user_code)
        call    rax
        EQ      eax, 0x77
        ; level 3: its pages as always, with AC or without; STAC and CLAC are not for it
        USER_TO BP_, user_reads
        EQ      [lx_regs + L_RAX], 0x1234
        mov     qword [vars64 + 24], F_AC | 2
        USER_TO BP_, user_reads
        EQ      [lx_regs + L_RAX], 0x1234
        USER_PAGE_FAULTS PF_P | PF_U, DATA, user_reads_kernel
        USER_TO UD, user_stac
        USER_TO UD, user_clac
        mov     qword [vars64 + 24], 2
        USER_PAGE_FAULTS PF_P | PF_U, DATA, user_reads_kernel
        USER_TO UD, user_stac
        RESET_GATE64 PF
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32 | DPL3, 0
        ret

; The processor's accesses to descriptor tables and TSS are supervisor accesses that AC does not help.
; Two pages, one of the supervisor and one of the user, share each table.
PAGE1   equ 0x222000
PAGE2   equ 0x223000
tables_on_user_pages:
        SET_GATE64 PF, CODE64, LINEAR(long_stubs + PF * 16), A_INT32, 1
        mov     dword [TSS64 + 36], IST1
        MAP64   PAGE1, PAGE1 | P_P | P_W, 0
        ; GDT: selectors from 0x100 on are on the user page
        mov     esi, GDT
        mov     edi, PAGE2 - 0x100
        mov     ecx, GDT_BYTES / 8
        rep     movsq
        mov     rax, [GDT + DATA64]
        mov     [PAGE2], rax
        mov     rax, [GDT + USER_DATA64 - 3]
        mov     [PAGE2 + 8], rax
        lgdt    [.gdt]
        CR_SET  cr4, CR4_SMAP
        mov     r15d, 10
.hot:   mov     eax, 0x100
        PAGE_FAULTS PF_P, PAGE2, mov ds, eax
        PAGE_FAULTS PF_P, PAGE2, lar ecx, eax
        stac
        PAGE_FAULTS PF_P, PAGE2, mov ds, eax
        PAGE_FAULTS PF_P, PAGE2, lsl ecx, eax
        PAGE_FAULTS PF_P, PAGE2, verr ax
        mov     ecx, [PAGE2]                    ; explicit: AC helps
        clac
        dec     r15d
        jnz     .hot
        mov     eax, 0x108 | 3
        USER_PAGE_FAULTS PF_P, PAGE2 + 8, user_loads_ds         ; not a user access
        mov     eax, 0x108 | 3
        mov     qword [vars64 + 24], F_AC | 2
        USER_PAGE_FAULTS PF_P, PAGE2 + 8, user_loads_ds
        mov     qword [vars64 + 24], 2
        CR_CLEAR cr4, CR4_SMAP
        mov     eax, 0x100
        mov     ds, eax
        mov     eax, DATA64
        mov     ds, eax
        lgdt    [.old_gdt]
        ; IDT: vectors from 0x40 on are on the user page
        mov     esi, IDT64
        mov     edi, PAGE2 - 0x400
        mov     ecx, VECTORS * 2
        rep     movsq
        CR_SET  cr4, CR4_SMAP
        lidt    [.idt]
        PAGE_FAULTS PF_P, PAGE2, int 0x40
        stac
        PAGE_FAULTS PF_P, PAGE2 + 16, int 0x41
        clac
        USER_PAGE_FAULTS PF_P, PAGE2 + 32, user_int
        lidt    [.old_idt]
        ; TSS: RSP0 is on the user page, IST1 is not
        MAP64   PAGE1, PAGE1 | P_USER, 0
        MAP64   PAGE2, PAGE2 | P_P | P_W, 0
        stac
        mov     esi, TSS64
        mov     edi, PAGE2 - 16
        mov     ecx, 0x68 / 8
        rep     movsq
        clac
        SET_DESC TSS64_SEL, PAGE2 - 16, 0x67, A_TSS32, 0
        mov     eax, TSS64_SEL
        ltr     ax
        SET_GATE64 0x42, CODE64, LINEAR(long_stubs + 0x42 * 16), A_INT32 | DPL3, 0
        USER_PAGE_FAULTS PF_P, PAGE1 + 0xff4, user_int
        mov     qword [vars64 + 24], F_AC | 2
        USER_PAGE_FAULTS PF_P, PAGE1 + 0xff4, user_int
        mov     qword [vars64 + 24], 2
        SET_GATE64 0x42, CODE64, LINEAR(long_stubs + 0x42 * 16), A_INT32 | DPL3, 1
        USER_TO 0x42, user_int
        SET_DESC TSS64_SEL, TSS64, 0x67, A_TSS32, 0
        mov     eax, TSS64_SEL
        ltr     ax
        CR_CLEAR cr4, CR4_SMAP
        RESET_GATE64 0x42
        RESET_GATE64 PF
        MAP64   PAGE2, PAGE2 | P_USER, 0
        ret
.gdt:   dw      GDT_BYTES - 1
        dq      PAGE2 - 0x100
.old_gdt: dw    GDT_BYTES - 1
        dq      GDT
.idt:   dw      VECTORS * 16 - 1
        dq      PAGE2 - 0x400
.old_idt: dw    VECTORS * 16 - 1
        dq      IDT64

; Hook: go on at CPL 0 where USER_TO says
to_kernel:
        mov     rax, [vars64 + 8]
        mov     [rbp + L_RIP], rax
        mov     rax, [vars64 + 16]
        mov     [rbp + L_RSP], rax
        mov     qword [rbp + L_CS], CODE64
        mov     qword [rbp + L_SS], DATA64
        mov     qword [rbp + L_RFLAGS], 2
        ret

umip:
        mov     r15d, 4
.loop:  USER
        sgdt    [DATA]
        sidt    [DATA]
        sldt    [DATA]
        str     [DATA]
        smsw    [DATA]
        smsw    eax
        SUPERVISOR
        CR_SET  cr4, CR4_UMIP
        sgdt    [DATA]
        EQ64    [DATA + 2], GDT
        sidt    [DATA]
        EQ64    [DATA + 2], IDT64
        sldt    eax
        str     eax
        EQ      eax, TSS64_SEL
        smsw    eax
        USER
        FAULTS  GP, 0, sgdt [DATA]
        FAULTS  GP, 0, sidt [DATA]
        FAULTS  GP, 0, sldt [DATA]
        FAULTS  GP, 0, sldt eax
        FAULTS  GP, 0, str eax
        FAULTS  GP, 0, str [DATA]
        FAULTS  GP, 0, smsw [DATA]
        FAULTS  GP, 0, smsw eax
        lar     eax, ecx                        ; not among them
        SUPERVISOR
        USER_COMPAT
        FAULTS  GP, 0, sgdt [DATA]
        FAULTS  GP, 0, str ax
        FAULTS  GP, 0, smsw ax
        SUPERVISOR
        CR_CLEAR cr4, CR4_UMIP
        dec     r15d
        jnz     .loop
        ret

user_code:
user_ret:
        mov     eax, 0x77
        ret
user_calls:
        mov     eax, USER_PAGE
        call    rax
        int3
user_reads:
        mov     eax, [USER_RW]
        int3
user_reads_kernel:
        mov     eax, [DATA]
user_stac:
        stac
user_clac:
        clac
user_loads_ds:
        db      0x8e, 0xd8                      ; MOV DS, EAX
user_int:
        int     0x42
user_code_end:
