; tests/guests/window.asm -- window.inc with 4-byte entries.
%include "common.inc"
%include "paging.inc"
ENTRY_BYTES equ 4
PT_A    equ 0x110000
PT_B    equ 0x111000
PT_C    equ 0x112000
PT_D    equ 0x113000
ROOT    equ PAGE_DIR
ROOT_B  equ 0x114000
PDE_LIN equ PAGE_DIR + (0x40000000 >> 20)
PDE_LAST equ PAGE_DIR + 0xffc
PTE_LAST equ PT_D + 0xffc
LARGE   equ 0x400000
LARGE_FROM equ 0
%include "window.inc"

tables_on:
        mov     eax, cr4
        or      eax, CR4_PSE
        mov     cr4, eax
        call    paging_on
        mov     dword [PAGE_DIR + 4], 0x400000 | P_P | P_W | P_U | P_PS
        mov     dword [PAGE_DIR + 8], 0x800000 | P_P | P_W | P_U | P_PS
        mov     edi, PT_A
        mov     ecx, 0x5000 / 4
        xor     eax, eax
        rep     stosd
        ret
tables_off equ paging_off

root_b_prepare:
        mov     dword [ROOT_B + (0x40000000 >> 20)], PT_B | P_P | P_W | P_U
        ret
root_b_other:
        mov     dword [ROOT_B + (0x40000000 >> 20)], PT_A | P_P | P_W | P_U
        ret
