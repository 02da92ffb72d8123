; tests/guests/triple_stack.asm -- a triple fault: an exception at CPL 3 while the TSS has no stack
; for CPL 0: #UD, #TS, #DF, none of which can be delivered. [SDM 3A 6.15 "Interrupt 8"]
%include "common.inc"

main:   cmp     dword [pass_left], 1            ; the last pass
        jne     .end
        xor     eax, eax
        mov     dx, 0xf5
        out     dx, eax                         ; a shutdown is wanted
        USER
        mov     dword [TSS + 8], 0
        ud2
        jmp     $
.end:   ret
