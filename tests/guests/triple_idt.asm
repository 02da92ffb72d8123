; tests/guests/triple_idt.asm -- a triple fault: no IDT at all. [SDM 3A 6.15 "Interrupt 8"]
%include "common.inc"

main:   cmp     dword [pass_left], 1            ; the last pass
        jne     .end
        xor     eax, eax
        mov     dx, 0xf5
        out     dx, eax                         ; a shutdown is wanted
        lidt    [.none]
        ud2
        FAIL
.end:   ret
.none:  dw      0
        dd      0
