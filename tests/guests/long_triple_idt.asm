; tests/guests/long_triple_idt.asm -- a triple fault in 64-bit mode: an IDT that ends before #UD.
; [SDM 3A 6.15 "Interrupt 8"]
%include "long.inc"

main64: cmp     dword [pass_left], 1            ; the last pass
        jne     .end
        xor     eax, eax
        mov     dx, 0xf5
        out     dx, eax                         ; a shutdown is wanted
        lidt    [.none]
        ud2
        FAIL
.end:   ret
.none:  dw      6 * 16 + 14                     ; the last byte of #UD's gate is missing
        dq      IDT64
