; tests/guests/pae.asm -- PAE paging: three levels, 2 MiB pages, NX, reserved bits, PDPTE checks,
; addresses, accessed and dirty bits of 64-bit entries.
; [SDM 3A 4.4 "PAE Paging", 4.6.2, 4.7]
%include "common.inc"
%include "paging.inc"

PDPT    equ 0x100000
PD      equ 0x101000            ; of the first GiB
PT      equ 0x102000            ; of the first 2 MiB
PT2     equ 0x103000            ; of 0x200000..0x3fffff
PAGE_A  equ 0x200000
PAGE_B  equ 0x201000
KEEP    equ P_P | P_W | P_U
EFER    equ 0xc0000080
NX      equ 0x80000000          ; in the upper half
%define PTE2(linear) PT2 + ((((linear) >> 12) & 511) * 8)

%macro MAP2 3                   ; linear, low, high
        mov     dword [PTE2(%1) + 4], %3
        mov     dword [PTE2(%1)], %2
        invlpg  [%1]
%endmacro
%macro FETCH_FAULTS 2           ; error, address
        mov     dword [ex_resume], %%next
        mov     dword [ex_count], 0
        mov     eax, %2
        jmp     eax
%%next: EQ      [ex_count], 1
        EQ      [ex_vector], PF
        EQ      [ex_error], %1
        EQ      [ex_cr2], %2
        EQ      [ex_eip], %2
%endmacro

main:
        mov     edi, PDPT
        mov     ecx, 0x4000 / 4
        xor     eax, eax
        rep     stosd
        mov     dword [PDPT], PD | P_P
        mov     dword [PD], PT | KEEP
        mov     dword [PD + 8], PT2 | KEEP
        mov     eax, KEEP
        mov     edi, PT
.fill:  mov     [edi], eax
        add     eax, 0x1000
        add     edi, 8
        cmp     edi, PT2 + 0x1000
        jb      .fill
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        mov     eax, PDPT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG | CR0_WP
        mov     cr0, eax
        mov     dword [PAGE_A], 0xaaaaaaaa
        mov     dword [PAGE_B], 0xbbbbbbbb
        EQ      [PTE2(PAGE_A)], PAGE_A | KEEP | P_A | P_D
        EQ      [PDPT], PD | P_P                        ; no accessed bit there

        ; ---- rights, as with two levels ----
        MAP2    PAGE_A, PAGE_A | P_P | P_U, 0
        PAGE_FAULTS PF_P | PF_W, PAGE_A, mov [PAGE_A], eax
        EQ      [PTE2(PAGE_A)], PAGE_A | P_P | P_U
        mov     eax, [PAGE_A]
        EQ      [PTE2(PAGE_A)], PAGE_A | P_P | P_U | P_A
        MAP2    PAGE_A, 0, 0
        PAGE_FAULTS PF_W, PAGE_A + 8, mov [PAGE_A + 8], eax
        PAGE_FAULTS 0, 0x40000000, mov eax, [0x40000000]        ; no PDPTE
        PAGE_FAULTS 0, 0xc0000000, mov eax, [0xc0000000]
        MAP2    PAGE_A, PAGE_A | KEEP, 0

        ; ---- without EFER.NXE bit 63 is reserved, as are bits above the physical width ----
        mov     ecx, EFER
        rdmsr
        and     eax, ~0x800
        wrmsr
        MAP2    PAGE_A, PAGE_A | KEEP, NX
        PAGE_FAULTS PF_P | PF_RSVD, PAGE_A, mov eax, [PAGE_A]
        MAP2    PAGE_A, PAGE_A | KEEP, 0x00100000               ; bit 52
        PAGE_FAULTS PF_P | PF_RSVD | PF_W, PAGE_A, mov [PAGE_A], eax
        FETCH_FAULTS PF_P | PF_RSVD, PAGE_A                     ; no I bit without NXE
        MAP2    PAGE_A, PAGE_A, 0x00100000                      ; not present: nothing reserved
        PAGE_FAULTS 0, PAGE_A, mov eax, [PAGE_A]

        ; ---- NX ----
        mov     ecx, EFER
        rdmsr
        or      eax, 0x800
        wrmsr
        MAP2    PAGE_A, PAGE_A | KEEP, 0
        mov     byte [PAGE_A], 0xc3
        mov     ebx, 4
.nx:    mov     eax, PAGE_A
        call    eax
        MAP2    PAGE_A, PAGE_A | KEEP, NX
        FETCH_FAULTS PF_P | PF_I, PAGE_A
        cmp     byte [PAGE_A], 0xc3                             ; reads and writes work
        jne     .bad
        mov     byte [PAGE_A + 1], 0xc3
        MAP2    PAGE_A, 0, 0
        FETCH_FAULTS PF_I, PAGE_A
        MAP2    PAGE_A, PAGE_A | KEEP, 0
        call    eax
        ; NX in the directory
        mov     dword [PD + 8 + 4], NX
        FLUSH
        FETCH_FAULTS PF_P | PF_I, PAGE_A
        mov     eax, [PAGE_A]
        mov     dword [PD + 8 + 4], 0
        FLUSH
        mov     eax, PAGE_A
        call    eax
        dec     ebx
        jnz     .nx
        ; from CPL 3
        mov     dword [PTE2(PAGE_A)], PAGE_A | P_P | P_W
        invlpg  [PAGE_A]
        USER
        FETCH_FAULTS PF_P | PF_I | PF_U, PAGE_A
        SUPERVISOR
        MAP2    PAGE_A, PAGE_A | KEEP, NX
        USER
        FETCH_FAULTS PF_P | PF_I | PF_U, PAGE_A
        mov     eax, [PAGE_A]
        SUPERVISOR
        ; the tail of an instruction on an NX page: CR2 is the tail's page, EIP the instruction
        MAP2    PAGE_A, PAGE_A | KEEP, 0
        MAP2    PAGE_B, PAGE_B | KEEP, 0
        mov     dword [PAGE_A + 0xffe], 0x0055b8 | 0xc3000000
        mov     dword [PAGE_B], 0xc3000000
        mov     ebx, 4
.tail:  mov     eax, PAGE_A + 0xffe
        call    eax
        EQ      eax, 0x55
        MAP2    PAGE_B, PAGE_B | KEEP, NX
        mov     dword [ex_resume], .tail_end
        mov     dword [ex_count], 0
        mov     eax, PAGE_A + 0xffe
        jmp     eax
.tail_end:
        EQ      [ex_error], PF_P | PF_I
        EQ      [ex_cr2], PAGE_B
        EQ      [ex_eip], PAGE_A + 0xffe
        MAP2    PAGE_B, PAGE_B | KEEP, 0
        dec     ebx
        jnz     .tail

        ; ---- 2 MiB pages ----
        mov     dword [PD + 16], 0x200000 | KEEP | P_PS
        mov     dword [PD + 20], 0
        FLUSH
        EQ      [0x400000 + 0x1000], 0xc3000000
        mov     dword [0x400000 + 0x2000], 0x1234
        EQ      [PAGE_A + 0x2000], 0x1234
        BITS_EQ [PD + 16], 0xfff, KEEP | P_PS | P_A | P_D
        mov     dword [PD + 20], NX
        FLUSH
        FETCH_FAULTS PF_P | PF_I, 0x400000
        mov     dword [PD + 20], 0
        mov     dword [PD + 16], 0x202000 | KEEP | P_PS         ; bits 20..13 are reserved
        FLUSH
        PAGE_FAULTS PF_P | PF_RSVD, 0x400000, mov eax, [0x400000]
        mov     dword [PD + 16], 0x200000 | P_P | P_PS
        FLUSH
        PAGE_FAULTS PF_P | PF_W, 0x400000, mov [0x400000], eax
        mov     dword [PD + 16], 0
        FLUSH

        ; ---- PDPTEs are loaded with CR3: what is written later counts at the next load ----
        mov     dword [PDPT + 8], PD | P_P
        mov     eax, cr3
        mov     cr3, eax
        EQ      [0x40000000 + PAGE_A + 0x2000], 0x1234
        mov     dword [PDPT + 8], 0
        EQ      [0x40000000 + PAGE_A + 0x2000], 0x1234
        mov     cr3, eax
        PAGE_FAULTS 0, 0x40000000, mov eax, [0x40000000]
        mov     dword [PDPT + 8], PD | P_P | P_W                ; reserved bit 1: #GP at the load
        mov     eax, cr3
        FAULTS  GP, 0, mov cr3, eax
        mov     dword [PDPT + 8], 0
        ; 4 GiB: the last page of linear space
        mov     dword [PDPT + 24], PD | P_P
        mov     dword [PD + 511 * 8], PT2 | KEEP
        mov     cr3, eax
        mov     dword [PT2 + 511 * 8], PAGE_B | KEEP
        invlpg  [0xfffff000]
        mov     dword [PAGE_B + 0xffc], 0x99887766
        EQ      [0xfffffffc], 0x99887766
        mov     dword [PDPT + 24], 0
        mov     cr3, eax
        call    paging_off
        ret
.bad:   FAIL
