; tests/guests/window_pae.asm -- window.inc with 8-byte entries (PAE).
%include "common.inc"
P_P equ 1
P_W equ 2
P_U equ 4
P_A equ 0x20
P_D equ 0x40
P_PS equ 0x80
P_G equ 0x100
ENTRY_BYTES equ 8
PT_A    equ 0x110000
PT_B    equ 0x111000
PT_C    equ 0x112000
PT_D    equ 0x113000
ROOT    equ 0x114000            ; PDPT
ROOT_B  equ 0x115000
PD_0    equ 0x116000
PD_1    equ 0x117000
PD_3    equ 0x118000
PT_0    equ 0x119000            ; two: the first 4 MiB
PD_B    equ 0x11b000
PDE_LIN equ PD_1
PDE_LAST equ PD_3 + 0xff8
PTE_LAST equ PT_D + 0xff8
LARGE   equ 0x200000
LARGE_FROM equ 0x400000
%define PTE(linear) PT_0 + (((linear) >> 12) * 8)
%include "window.inc"

tables_on:
        mov     edi, PT_A
        mov     ecx, 0xc000 / 4
        xor     eax, eax
        rep     stosd
        mov     dword [ROOT], PD_0 | P_P
        mov     dword [ROOT + 8], PD_1 | P_P
        mov     dword [ROOT + 24], PD_3 | P_P
        mov     dword [PD_0], PT_0 | P_P | P_W | P_U
        mov     dword [PD_0 + 8], (PT_0 + 0x1000) | P_P | P_W | P_U
        mov     edi, PD_0 + 16
        mov     eax, 0x400000 | P_P | P_W | P_U | P_PS
.large: mov     [edi], eax
        add     edi, 8
        add     eax, 0x200000
        cmp     eax, 0x1000000
        jb      .large
        mov     edi, PT_0
        mov     eax, P_P | P_W | P_U
.next:  mov     [edi], eax
        add     edi, 8
        add     eax, 0x1000
        cmp     edi, PT_0 + 0x2000
        jb      .next
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        mov     eax, ROOT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        ret
tables_off:
        mov     eax, cr0
        and     eax, ~(CR0_PG | CR0_WP)
        mov     cr0, eax
        mov     eax, cr4
        and     eax, ~(CR4_PSE | CR4_PAE | CR4_PGE)
        mov     cr4, eax
        xor     eax, eax
        mov     cr3, eax
        ret

; PDPTEs are registers: another directory in ROOT_B is there with the next MOV CR3
root_b_prepare:
        mov     dword [PD_B], PT_B | P_P | P_W | P_U
        mov     dword [ROOT_B + 8], PD_B | P_P
        ret
root_b_other:
        mov     dword [ROOT_B + 8], PD_1 | P_P
        ret
