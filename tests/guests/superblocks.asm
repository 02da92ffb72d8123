; tests/guests/superblocks.asm -- see superblocks.inc; 32-bit code.
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "common.inc"
%include "paging.inc"

%define SP_ esp
%define CX_ ecx
%define DX_ edx
%define SI_ esi
%define DI_ edi
SLOT    equ 4
COUNT_  equ ex_count
EIP_    equ ex_eip
CR2_    equ ex_cr2
RESUME_ equ ex_resume
KEEP_SP equ vars

main:   SET_GATE VEC, CODE32, interrupt, A_INT32
        call    paging_on
        call    superblocks
        call    paging_off
        RESET_GATE VEC
        ret
hole:   MAP     HOLE, eax
        ret
interrupt:
        mov     dword [esp], superblocks.i_back
        and     dword [esp + 8], ~F_IF
        iretd

%include "superblocks.inc"
