; tests/guests/double_fault.asm -- which second faults make a double fault, which are handled one
; after the other. [SDM 3A 6.15 "Interrupt 8", table 6-5]
%include "common.inc"
%include "paging.inc"

HOLE    equ 0x200000

; Make a gate not present
%macro BREAK_GATE 1
        mov     dword [IDT + (%1) * 8 + 4], (A_INT32 & ~0x80) << 8
%endmacro
; #DF with error code 0. Its CS:EIP is not defined by the manual, processors save that of the
; first fault; RF is not set.
%macro DOUBLE 1+
        mov     dword [ex_resume], %%next
        mov     dword [ex_count], 0
%%insn: %1
        FAIL
%%next: EQ [ex_count], 1
        EQ [ex_vector], DF
        EQ [ex_error], 0
        EQ [ex_eip], %%insn
%endmacro

main:
        xor     ecx, ecx
        mov     ebx, 0xfff8
        ; contributory, then contributory
        BREAK_GATE DE
        DOUBLE  div ecx
        RESET_GATE DE
        BREAK_GATE GP
        DOUBLE  mov ds, bx
        DOUBLE  mov dword [cs:0], 0
        RESET_GATE GP
        BREAK_GATE NP
        SET_DESC FREE, 0, 0xfffff, A_DATA & ~0x80, G_4K | D_32
        mov     eax, FREE
        DOUBLE  mov ds, ax
        RESET_GATE NP
        ; #UD is benign: #NP for the gate follows
        BREAK_GATE UD
        FAULTS  NP, UD * 8 + 3, ud2
        ; and if that one has a bad gate: #NP is contributory, then #NP again: double
        BREAK_GATE NP
        DOUBLE  ud2
        RESET_GATE NP
        RESET_GATE UD
        ; INT n: the fault of a software interrupt is a first fault
        BREAK_GATE 0x48
        FAULTS  NP, 0x48 * 8 + 2, int 0x48
        BREAK_GATE NP
        DOUBLE  int 0x48
        RESET_GATE NP

        ; with paging
        call    paging_on
        MAP     HOLE, 0
        ; page fault, then contributory
        BREAK_GATE PF
        DOUBLE  mov eax, [HOLE]
        RESET_GATE PF
        ; contributory, then page fault: handled in turn. The gate of #GP leads to a code
        ; segment whose descriptor is on a page that is absent.
        mov     esi, GDT
        mov     edi, GDT_COPY + 0xf80
        mov     ecx, 0x80 / 4
        rep     movsd
        mov     dword [GDT_COPY + 0x1000], 0x0000ffff           ; selector 0x80: CODE32 again
        mov     dword [GDT_COPY + 0x1004], 0x00cf9a00
        mov     dword [PTE(HOLE)], GDT_COPY | P_P | P_W | P_U
        mov     dword [PTE(HOLE + 0x1000)], 0
        mov     dword [PTE(HOLE + 0x2000)], 0
        FLUSH
        lgdt    [.far_gdt]
        mov     word [IDT + GP * 8 + 2], 0x80
        FAULTS  PF, 0, mov ds, bx               ; delivering #GP page-faults: #PF, not #DF
        EQ      [ex_cr2], HOLE + 0x1000
        ; page fault, then page fault: double
        mov     word [IDT + PF * 8 + 2], 0x80
        DOUBLE  mov eax, [HOLE + 0x2000]
        RESET_GATE PF
        RESET_GATE GP
        lgdt    [gdt_pointer]
        mov     dword [PTE(HOLE + 0x2000)], 0
        call    paging_off

        ret
.far_gdt:
        dw      0xff
        dd      HOLE + 0xf80
GDT_COPY equ 0x280000
