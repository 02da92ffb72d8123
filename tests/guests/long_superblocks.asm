; tests/guests/long_superblocks.asm -- see superblocks.inc; 64-bit code.
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "long.inc"

%define SP_ rsp
%define CX_ rcx
%define DX_ rdx
%define SI_ rsi
%define DI_ rdi
SLOT    equ 8
COUNT_  equ lx_count
EIP_    equ lx_rip
CR2_    equ lx_cr2
RESUME_ equ lx_resume
KEEP_SP equ vars64

main64: SET_GATE64 VEC, CODE64, LINEAR(interrupt), A_INT32, 0
        call    superblocks
        RESET_GATE64 VEC
        ret
hole:   MAP64   HOLE, eax, 0
        ret
interrupt:
        mov     qword [rsp], superblocks.i_back
        and     dword [rsp + 16], ~F_IF
        iretq

%include "superblocks.inc"
