; tests/guests/long_renamed.asm -- a loop with registers of its own, come to from another page.
%include "long.inc"
main64: mov     r15d, 20
        mov     rbx, 0x1111
        mov     rbp, 0x2222
        mov     rsi, 0x3333
        call    begin
.more:  mov     ecx, 100
        xor     r8d, r8d
        xor     r9d, r9d
        mov     r10d, 7
        call    begin.h
        EQ      r8d, 5050
        EQ      r9d, 700
        EQ64    rbx, 0x1111
        EQ64    rbp, 0x2222
        EQ64    rsi, 0x3333
        dec     r15d
        jnz     .more
        ret
        align   4096
begin:  mov     r14d, 3
.r:     mov     ecx, 100
        xor     r8d, r8d
        xor     r9d, r9d
        mov     r10d, 7
.h:     add     r8, rcx
        add     r9, r10
        dec     ecx
        jnz     .h
        ret
