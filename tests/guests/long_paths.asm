; tests/guests/long_paths.asm -- a loop that may be shorter the second time round: what only the first
; way covers is code of the superblock, too, and is rewritten.
%include "long.inc"
main64: mov     r15d, 6
.again: mov     byte [one.op + 1], 0xc0
        mov     byte [two.op + 1], 0xc0
        mov     ecx, 101
        xor     eax, eax
        call    one
        EQ      eax, 50
        mov     ecx, 100
        xor     eax, eax
        call    two
        EQ      eax, 49
        mov     byte [one.op + 1], 0xe8 ; SUB
        mov     byte [two.op + 1], 0xe8
        mov     ecx, 101
        xor     eax, eax
        call    one
        EQ      eax, -50
        mov     ecx, 100
        xor     eax, eax
        call    two
        EQ      eax, -49
        dec     r15d
        jnz     .again
        ret
        align   4096
one:    dec     ecx
        jz      .end
        test    cl, 1
        jnz     one
.op:    add     eax, 1
        jmp     one
.end:   ret
        align   512
two:    dec     ecx
        jz      .end
        test    cl, 1
        jnz     two
.op:    add     eax, 1
        jmp     two
.end:   lea     ebx, [rax - 49]
        cmp     ebx, 1
        ret
