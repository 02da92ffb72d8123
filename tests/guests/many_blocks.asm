; tests/guests/many_blocks.asm -- more code than a small translation cache holds: blocks are
; dropped while others jump to them, while they run, while their code changes.
%include "common.inc"

CODE_AT equ 0x300000
COUNT   equ 6000                ; pieces of 16 bytes

main:
        ; piece i: ADD EBX, imm8 (1); every 8th a CALL and RET, the rest a JMP to the next
        mov     edi, CODE_AT
        mov     ecx, COUNT
.fill:  mov     dword [edi], 0x9001c383 ; ADD EBX, 1; NOP
        test    cl, 7
        jz      .call
        mov     dword [edi + 4], 0x90900aeb     ; JMP SHORT +10
        jmp     .next
.call:  mov     dword [edi + 4], 0x000002e8     ; CALL +2
        mov     dword [edi + 8], 0xc305eb00     ; (rest of it); JMP SHORT +5; RET
.next:  mov     dword [edi + 12], 0x90909090
        add     edi, 16
        loop    .fill
        mov     byte [edi], 0xc3
        xor     ebx, ebx
        mov     edx, 3
.run:   mov     eax, CODE_AT
        call    eax
        dec     edx
        jnz     .run
        EQ      ebx, COUNT * 3
        ; backwards, by indirect calls to single pieces that end in a RET
        mov     edi, CODE_AT
        mov     ecx, COUNT
.patch: mov     byte [edi + 3], 0xc3
        mov     byte [edi + 2], cl
        add     edi, 16
        loop    .patch
        mov     edx, 3
        xor     ebx, ebx
.back:  mov     esi, COUNT
        mov     edi, CODE_AT + (COUNT - 1) * 16
.indirect:
        call    edi
        sub     edi, 16
        dec     esi
        jnz     .indirect
        dec     edx
        jnz     .back
        ; the sum of the signed low bytes of 1..COUNT, three times
        xor     eax, eax
        mov     ecx, COUNT
.sum:   movsx   esi, cl
        add     eax, esi
        loop    .sum
        lea     eax, [eax + eax * 2]
        EQ      eax, ebx
        ; each piece changes the immediate of the next but one, which may be out or in the cache
        mov     edi, CODE_AT
        mov     ecx, COUNT
.chain: mov     word [edi], 0x05fe      ; INC BYTE [imm32]
        lea     eax, [edi + 16 + 9]     ; the immediate of the next piece's ADD
        mov     [edi + 2], eax
        mov     byte [edi + 6], 0x90
        mov     word [edi + 7], 0xc383  ; ADD EBX, imm8
        mov     byte [edi + 9], 0
        mov     word [edi + 10], 0x04eb ; JMP to the next
        add     edi, 16
        loop    .chain
        mov     byte [edi], 0xc3
        mov     edx, 3
        xor     ebx, ebx
.chained:
        mov     eax, CODE_AT
        call    eax
        dec     edx
        jnz     .chained
        EQ      ebx, (COUNT - 1) * 6    ; 1 + 2 + 3 for all but the first piece
        ret
