; tests/guests/long_registers.asm -- control, debug and model-specific registers in 64-bit mode:
; reserved bits, canonical addresses, what does not exist; CR8; RDTSC, RDTSCP, RDPMC; XCR0.
; [SDM 3A 2.5 "Control Registers"], [SDM 3B 18.2], [SDM 4 2.1], [SDM 2B "WRMSR"]
%include "long.inc"

TSC_DEADLINE equ 0x6e0
BAD     equ 0x800000000000

%macro WRMSR_FAULTS 2           ; number, value
        mov     ecx, %1
        mov     rax, %2
        mov     rdx, rax
        shr     rdx, 32
        FAULTS  GP, 0, wrmsr
%endmacro
%macro RDMSR_FAULTS 1
        mov     ecx, %1
        mov     eax, 0x11
        mov     edx, 0x22
        FAULTS  GP, 0, rdmsr
        EQ      eax, 0x11
        EQ      edx, 0x22
%endmacro
; A register that holds canonical addresses and nothing else
%macro CANONICAL 1
        READ_MSR %1
        push    rax
        WRITE_MSR %1, 0x7fffffffffff
        READ_MSR %1
        EQ64    rax, 0x7fffffffffff
        WRITE_MSR %1, 0xffff800000000000
        WRMSR_FAULTS %1, BAD
        WRMSR_FAULTS %1, 0xffff7fffffffffff
        WRMSR_FAULTS %1, 1 << 63
        READ_MSR %1
        EQ64    rax, 0xffff800000000000
        pop     rax
        mov     rdx, rax
        shr     rdx, 32
        mov     ecx, %1
        wrmsr
%endmacro

main64:
        mov     r13d, 4
.loop:  call    model_specific
        call    control
        call    debug
        call    time_stamps
        call    extended
        dec     r13d
        jnz     .loop
        ret

model_specific:
        CANONICAL LSTAR
        CANONICAL CSTAR
        CANONICAL FS_BASE
        CANONICAL GS_BASE
        CANONICAL KERNEL_GS_BASE
        CANONICAL SYSENTER_ESP
        CANONICAL SYSENTER_EIP
        WRITE_MSR STAR, 0x123456789abcdef0      ; any value
        READ_MSR STAR
        EQ64    rax, 0x123456789abcdef0
        WRITE_MSR FMASK, 0xffffffff
        WRMSR_FAULTS FMASK, 1 << 32
        READ_MSR FMASK
        EQ64    rax, 0xffffffff
        WRITE_MSR TSC_AUX, 0x89abcdef
        WRMSR_FAULTS TSC_AUX, 1 << 32
        ; EFER: SCE, LME, LMA, NXE; LMA cannot be written, LME not now
        WRMSR_FAULTS EFER, 2 | EFER_SCE | EFER_LME | EFER_NXE
        WRMSR_FAULTS EFER, 1 << 32 | EFER_SCE | EFER_LME | EFER_NXE
        WRMSR_FAULTS EFER, 1 << 63 | EFER_SCE | EFER_LME | EFER_NXE
        WRMSR_FAULTS EFER, 0x1000 | EFER_LME    ; SVME is AMD's
        WRMSR_FAULTS EFER, EFER_SCE | EFER_NXE
        READ_MSR EFER
        EQ64    rax, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE
        WRITE_MSR EFER, EFER_LME
        READ_MSR EFER
        EQ64    rax, EFER_LME | EFER_LMA
        WRITE_MSR EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE
        ; RDMSR and WRMSR take ECX, and clear the upper halves of RAX and RDX
        mov     rcx, 0x1234567800000000 | STAR
        mov     rax, -1
        mov     rdx, -1
        rdmsr
        EQ64    rax, 0x9abcdef0
        EQ64    rdx, 0x12345678
        RDMSR_FAULTS 0x12345678
        RDMSR_FAULTS 0xc0000105
        WRMSR_FAULTS 0x12345678, 0
        WRMSR_FAULTS 0xfe, 0                    ; IA32_MTRRCAP is read-only
        ; PAT: memory types only
        READ_MSR 0x277
        EQ64    rax, 0x0007040600070406
        WRMSR_FAULTS 0x277, 0x0007040600070402
        WRMSR_FAULTS 0x277, 0x0807040600070406
        ; x2APIC registers belong to the board, which has none here
        RDMSR_FAULTS 0x802
        WRMSR_FAULTS 0x80b, 0
        RDMSR_FAULTS 0x8ff
        WRITE_MSR STAR, 0
        WRITE_MSR FMASK, 0
        ; not at level 3, whatever the number
        USER
        mov     ecx, TSC_AUX
        FAULTS  GP, 0, rdmsr
        FAULTS  GP, 0, wrmsr
        SUPERVISOR
        ret

control:
        ; CR8 is the task priority: 4 bits
        mov     r12d, 15
.tpr:   mov     cr8, r12
        mov     rax, cr8
        EQ64    rax, r12
        dec     r12d
        jns     .tpr
        mov     eax, 16
        FAULTS  GP, 0, mov cr8, rax
        mov     rax, 1 << 63
        FAULTS  GP, 0, mov cr8, rax
        mov     rax, 1 << 32
        FAULTS  GP, 0, mov cr8, rax
        mov     rax, cr8
        EQ64    rax, 0
        FAULTS  UD, 0, db 0x44, 0x0f, 0x22, 0xc8        ; MOV CR9
        FAULTS  UD, 0, db 0x0f, 0x22, 0xc8              ; MOV CR1
        FAULTS  UD, 0, db 0x0f, 0x20, 0xe8              ; CR5
        FAULTS  UD, 0, db 0x44, 0x0f, 0x20, 0xf8        ; CR15
        USER
        FAULTS  GP, 0, mov rax, cr8
        SUPERVISOR
        COMPAT
        mov     eax, cr0                                ; 32 bits there
        FAULTS  UD, 0, db 0xf0, 0x0f, 0x22, 0xc0        ; LOCK MOV CR0 is AMD's way to CR8
        LONG
        ; CR0: upper half, combinations
        mov     rax, cr0
        bts     rax, 32
        FAULTS  GP, 0, mov cr0, rax
        mov     rax, cr0
        btr     rax, 0
        FAULTS  GP, 0, mov cr0, rax                     ; PG without PE
        mov     rax, cr0
        or      eax, 0x20000000                         ; NW without CD
        FAULTS  GP, 0, mov cr0, rax
        mov     rax, cr0
        btr     rax, 31
        FAULTS  GP, 0, mov cr0, rax
        ; CR2: all 64 bits
        mov     rax, 0x123456789abcdef0
        mov     cr2, rax
        mov     rcx, cr2
        EQ64    rcx, rax
        xor     eax, eax
        mov     cr2, rax
        ; CR4
        mov     rax, cr4
        bts     rax, 32
        FAULTS  GP, 0, mov cr4, rax
        mov     rax, cr4
        bts     rax, 15
        FAULTS  GP, 0, mov cr4, rax
        mov     rax, cr4
        bts     rax, 31
        FAULTS  GP, 0, mov cr4, rax
        mov     rax, cr4
        btr     rax, 5                                  ; PAE
        FAULTS  GP, 0, mov cr4, rax
        ; LMSW can set PE only, SMSW shows all bits
        smsw    rax
        mov     rcx, cr0
        EQ64    rax, rcx
        xor     eax, eax
        lmsw    ax
        mov     rax, cr0
        and     ecx, ~0xe
        EQ64    rax, rcx
        ; LTR and LLDT in 64-bit mode: 16-byte descriptors
        mov     eax, TSS64_SEL
        FAULTS  GP, TSS64_SEL, ltr ax                   ; busy
        SET_DESC FREE64, TSS64, 0x67, A_TSS32, 0
        mov     dword [GDT + FREE64 + 8], 0x8000
        mov     dword [GDT + FREE64 + 12], 0
        mov     eax, FREE64
        FAULTS  GP, FREE64, ltr ax                      ; base not canonical
        SET_DESC FREE64, TSS64, 0x67, A_TSS16, 0
        mov     dword [GDT + FREE64 + 8], 0
        FAULTS  GP, FREE64, ltr ax
        SET_DESC FREE64, DATA, 0x1f, A_LDT, 0
        mov     dword [GDT + FREE64 + 8], 0x8000
        FAULTS  GP, FREE64, lldt ax
        mov     dword [GDT + FREE64 + 8], 0
        lldt    ax
        mov     rax, 0x00cf92000000ffff
        mov     [DATA + 8], rax
        mov     eax, 8 | 4
        mov     es, eax
        mov     eax, 0x1f8                              ; the second half is beyond the table
        mov     dword [GDT + 0x1f8 + 4], A_LDT << 8
        FAULTS  GP, 0x1f8, lldt ax
        mov     dword [GDT + 0x1f8 + 4], 0
        mov     eax, DATA64
        mov     es, eax
        xor     eax, eax
        lldt    ax
        FAULTS  GP, 0, ltr ax
        mov     eax, 8 | 4
        FAULTS  GP, 8 | 4, mov es, eax
        ; LGDT and LIDT: ten bytes, canonical
        mov     word [DATA], 0xffff
        mov     rax, BAD
        mov     [DATA + 2], rax
        FAULTS  GP, 0, lgdt [DATA]
        FAULTS  GP, 0, lidt [DATA]
        sgdt    [DATA + 0x20]
        EQ64    [DATA + 0x22], GDT
        ret

debug:  ; DR0 to DR3: 64 bits; DR6 and DR7: upper halves reserved
        mov     rax, 0x123456789abcdef0
        mov     dr0, rax
        mov     rcx, dr0
        EQ64    rcx, rax
        mov     dr3, rax
        mov     rcx, dr3
        EQ64    rcx, rax
        mov     rax, 1 << 32
        FAULTS  GP, 0, mov dr6, rax
        FAULTS  GP, 0, mov dr7, rax
        mov     rax, 1 << 63
        FAULTS  GP, 0, mov dr6, rax
        FAULTS  GP, 0, mov dr7, rax
        xor     eax, eax
        mov     dr6, rax
        mov     rax, dr6
        EQ64    rax, 0xffff0ff0
        mov     eax, -1
        mov     dr6, rax
        mov     rax, dr6
        EQ64    rax, 0xffffefff
        xor     eax, eax
        mov     dr6, rax
        FAULTS  UD, 0, db 0x44, 0x0f, 0x21, 0xc0        ; DR8
        mov     rax, dr4                                ; DR6 without CR4.DE
        EQ64    rax, 0xffff0ff0
        CR_SET  cr4, 8
        FAULTS  UD, 0, mov rax, dr4
        FAULTS  UD, 0, mov dr5, rax
        CR_CLEAR cr4, 8
        ; a data breakpoint above 4 GiB, eight bytes long; an instruction breakpoint
        SET_ENTRY PML4 + 8, FREE_TABLES | P_ALL, 0
        SET_ENTRY FREE_TABLES, PD | P_ALL, 0
        mov     rbx, 0x8000000000 + DATA
        mov     r12d, 6
.hot:   mov     [rbx], rax
        mov     dr1, rbx
        mov     eax, 0x00900404                      ; L1, write, 8 bytes
        mov     dr7, rax
        TRAPS   DB_, mov [rbx + 7], al
        mov     rax, dr6
        BITS_EQ rax, 0xf00f, 2
        xor     eax, eax
        mov     dr6, rax
        mov     eax, DATA                               ; the same memory, another address
        mov     [rax], rax
        mov     [rbx + 8], al
        mov     [rbx - 1], al
        mov     eax, [rbx]
        xor     eax, eax
        mov     dr7, rax
        mov     [rbx], rax
        lea     rax, [.here]
        mov     dr2, rax
        mov     eax, 0x410                              ; L2, execution
        mov     dr7, rax
        mov     qword [lx_resume], .here
        mov     qword [lx_hook], .rf
        mov     qword [lx_count], 0
        nop
.here:  inc     ecx
        xor     eax, eax
        mov     dr7, rax
        mov     dr6, rax
        mov     qword [lx_hook], 0
        EQ64    [lx_count], 1
        EQ64    [lx_rip], LINEAR(.here)
        BITS_EQ [lx_rflags], F_RF, 0
        dec     r12d
        jnz     .hot
        ; DR7.GD
        mov     eax, 0x2400
        mov     dr7, rax
        FAULTS  DB_, 0, mov rax, dr0
        mov     rax, dr7
        EQ64    rax, 0x400                              ; the handler's entry has cleared it
        mov     rax, dr6
        BITS_EQ rax, 0x2000, 0x2000
        xor     eax, eax
        mov     dr6, rax
        SET_ENTRY PML4 + 8, 0, 0
        FLUSH64
        ret
.rf:    or      qword [rbp + L_RFLAGS], F_RF            ; once is enough
        ret

time_stamps:
        mov     rax, -1
        mov     rdx, -1
        rdtsc
        EQ64    rdx, 0
        WRITE_MSR TSC_AUX, 0x89abcdef
        mov     rcx, -1
        mov     rax, -1
        mov     rdx, -1
        rdtscp
        EQ64    rcx, 0x89abcdef
        EQ64    rdx, 0
        mov     rcx, -1
        rdpid   rcx
        EQ64    rcx, 0x89abcdef
        mov     ecx, 0
        FAULTS  GP, 0, rdpmc
        mov     ecx, 0x40000000
        FAULTS  GP, 0, rdpmc
        USER
        rdtsc
        rdtscp
        rdpid   rcx
        EQ64    rcx, 0x89abcdef
        FAULTS  GP, 0, rdpmc
        SUPERVISOR
        CR_SET  cr4, CR4_TSD
        rdtsc
        rdtscp
        USER
        FAULTS  GP, 0, rdtsc
        FAULTS  GP, 0, rdtscp
        SUPERVISOR
        CR_CLEAR cr4, CR4_TSD
        ret

extended:
        FAULTS  UD, 0, xgetbv                           ; no CR4.OSXSAVE
        FAULTS  UD, 0, xsetbv
        CR_SET  cr4, CR4_OSXSAVE | CR4_OSFXSR
        xor     ecx, ecx
        xgetbv
        push    rax
        mov     eax, 3
        xor     edx, edx
        xsetbv
        xor     eax, eax
        FAULTS  GP, 0, xsetbv                           ; x87 cannot go
        mov     eax, 5
        FAULTS  GP, 0, xsetbv                           ; AVX without SSE
        mov     eax, 3
        mov     edx, 0x80000000
        FAULTS  GP, 0, xsetbv
        xor     edx, edx
        mov     ecx, 1
        FAULTS  GP, 0, xsetbv
        mov     ecx, 2
        FAULTS  GP, 0, xgetbv
        USER
        xor     ecx, ecx
        mov     rax, -1
        mov     rdx, -1
        xgetbv
        EQ64    rax, 3
        EQ64    rdx, 0
        FAULTS  GP, 0, xsetbv
        SUPERVISOR
        pop     rax
        xor     ecx, ecx
        xor     edx, edx
        xsetbv
        CR_CLEAR cr4, CR4_OSXSAVE | CR4_OSFXSR
        ret
