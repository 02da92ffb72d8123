; tests/guests/long_renamed_implicit.asm -- the same, with instructions whose registers are implicit.
%include "long.inc"
main64: mov     r15d, 8
.again: mov     rbx, 0x1111
        mov     rbp, 0x2222
        mov     rsi, 0x3333
        mov     rdi, DATA_
        mov     r8, 3
        mov     r9, 0
        mov     r10, 0
        mov     r11, 0
        mov     r12, 50
        xor     r14d, r14d
        mov     qword [DATA_], 0
.h:     mov     rax, r9
        mul     r8
        add     r10, rax
        mov     rdx, r8
        mulx    r11, r13, r8
        xadd    r9, r14
        mov     r14, 1
        mov     rax, [rdi]
        cmpxchg [rdi], r10
        xchg    r13, r11
        bswap   r13
        bswap   r13
        popcnt  r8, r8
        add     r8, 1
        dec     r12
        jnz     .h
        mov     [rel got], r9
        mov     [rel got + 8], r10
        mov     [rel got + 16], r11
        mov     [rel got + 24], r13
        mov     [rel got + 32], r8
        EQ64    rbx, 0x1111
        EQ64    rbp, 0x2222
        EQ64    rsi, 0x3333
        mov     rax, [rel got + 8]
        EQ64    rax, [DATA_]
        cmp     qword [rel want + 8], 0
        jne     .cmp
        mov     ecx, 5
.cp:    mov     rax, [got + rcx * 8 - 8]
        mov     [want + rcx * 8 - 8], rax
        loop    .cp
.cmp:   EQ64    [want], [got]
        EQ64    [want + 8], [got + 8]
        EQ64    [want + 16], [got + 16]
        EQ64    [want + 24], [got + 24]
        EQ64    [want + 32], [got + 32]
        xor     r14d, r14d
        dec     r15d
        jnz     .again
        ret
align 16
got:    times 5 dq 0
want:   times 5 dq 0
DATA_:  dq 0
