; tests/guests/long_path_changes.asm -- a loop that rewrites itself while its path is recorded.
%include "long.inc"
main64: mov     r14d, 1
.again: mov     dword [loop_.p], 0xd901c083     ; add eax, 1; (cmp's first byte is kept by the mask below)
        mov     al, [loop_.keep]
        mov     byte [loop_.p + 3], 0x39
        mov     ecx, 40
        mov     edx, 40
        sub     edx, r14d
        xor     eax, eax
        xor     ebx, ebx
        mov     rdi, loop_.p
        mov     esi, 0x39c3ff90                 ; nop; inc ebx; first byte of cmp
        call    loop_
        mov     r13d, r14d
        EQ      eax, r13d
        mov     r13d, 39
        sub     r13d, r14d
        EQ      ebx, r13d
        inc     r14d
        cmp     r14d, 12
        jb      .again
        ret
        align   4096
loop_:  dec     ecx
        jz      .end
.p:     add     eax, 1
.keep:  cmp     ecx, edx
        jne     .skip
        mov     [rdi], esi
.skip:  jmp     loop_
.end:   ret
