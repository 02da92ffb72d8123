; tests/guests/long_triple_stack.asm -- a triple fault in 64-bit mode: an exception at CPL 3 while
; RSP0 is not canonical: #UD, #SS, #DF, none of which can be delivered.
; [SDM 3A 6.15 "Interrupt 8"]
%include "long.inc"

main64: cmp     dword [pass_left], 1            ; the last pass
        jne     .end
        xor     eax, eax
        mov     dx, 0xf5
        out     dx, eax                         ; a shutdown is wanted
        mov     dword [TSS64 + 8], 0x8000
        USER
        ud2
        jmp     $
.end:   ret
