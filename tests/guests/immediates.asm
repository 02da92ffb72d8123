; tests/guests/immediates.asm -- code in which nothing but immediate operands is rewritten, again and
; again, so that the translator may take them for data; opcodes that are rewritten all the same; data
; beside hot code, data that becomes code. Each store takes effect before the next instruction.
; [SDM 3A 8.1.3, 11.6 "Self-Modifying Code"]
%include "common.inc"
%include "paging.inc"

CODE_AT equ 0x50000             ; code that is written here runs here
NEXT_AT equ 0x51000
ALIAS   equ 0x300000            ; another linear address
ROUNDS  equ 40
FLAGS   equ 0x8c5               ; OF SF ZF PF CF; AF is undefined after some

; FORM bytes, {instruction with an immediate at its end}, {the same with EDX for it}
; Both start from the same registers, flags and memory; the immediate changes each round, and is
; written right in front of the instruction.
%macro FORM 3
        mov     dword [rounds], ROUNDS
%%loop: imul    edx, [rounds], 0x01c71235
        ror     edx, 11
%if %1 == 4
        mov     [%%end - 4], edx
%elif %1 == 2
        mov     [%%end - 2], dx
%else
        mov     [%%end - 1], dl
%endif
        call    form_start
        %2
%%end:  call    form_keep
%if %1 == 1
        movsx   edx, dl
%endif
        call    form_start
        %3
        call    form_compare
        dec     dword [rounds]
        jnz     %%loop
%endmacro

main:
        FORM    4, {mov ebx, strict dword 0}, {mov ebx, edx}
        FORM    4, {mov ecx, strict dword 0}, {mov ecx, edx}
        FORM    4, {mov ebp, strict dword 0}, {mov ebp, edx}
        FORM    2, {mov bx, strict word 0}, {mov bx, dx}
        FORM    1, {mov bl, 0}, {mov bl, dl}
        FORM    1, {mov bh, 0}, {mov bh, dl}
        FORM    1, {mov cl, 0}, {mov cl, dl}
        FORM    1, {mov ch, 0}, {mov ch, dl}
        FORM    1, {mov ah, 0}, {mov ah, dl}
        FORM    4, {add ebx, strict dword 0}, {add ebx, edx}
        FORM    4, {adc ecx, strict dword 0}, {adc ecx, edx}
        FORM    1, {sbb ebx, strict byte 0}, {sbb ebx, edx}
        FORM    1, {and bl, 0}, {and bl, dl}
        FORM    1, {or ch, 0}, {or ch, dl}
        FORM    1, {xor ah, 0}, {xor ah, dl}
        FORM    2, {sub bp, strict word 0}, {sub bp, dx}
        FORM    1, {cmp cx, strict byte 0}, {cmp cx, dx}
        FORM    4, {cmp eax, strict dword 0}, {cmp eax, edx}
        FORM    2, {adc ax, strict word 0}, {adc ax, dx}
        FORM    1, {sub al, 0}, {sub al, dl}
        FORM    1, {test al, 0}, {test al, dl}
        FORM    4, {test eax, strict dword 0}, {test eax, edx}
        FORM    4, {test ecx, strict dword 0}, {test ecx, edx}
        FORM    1, {test bh, 0}, {test bh, dl}
        FORM    4, {mov dword [edi + 4], strict dword 0}, {mov [edi + 4], edx}
        FORM    2, {mov word [edi + 1], strict word 0}, {mov [edi + 1], dx}
        FORM    1, {mov byte [memory + 3], 0}, {mov [memory + 3], dl}
        FORM    4, {add dword [edi + eax * 2 - 0x2468], strict dword 0}, {add [edi + eax * 2 - 0x2468], edx}
        FORM    1, {adc dword [edi], strict byte 0}, {adc [edi], edx}
        FORM    1, {lock xor word [edi + 3], strict byte 0}, {lock xor [edi + 3], dx}
        FORM    1, {cmp byte [edi + 2], 0}, {cmp [edi + 2], dl}
        FORM    4, {test dword [edi + 2], strict dword 0}, {test [edi + 2], edx}
        FORM    4, {push strict dword 0}, {push edx}
        FORM    1, {push strict byte 0}, {push edx}
        FORM    2, {push strict word 0}, {push dx}
        mov     ecx, 60
        mov     ebx, esp
.stack: imul    edx, ecx, 0x40c0
        mov     [.added - 4], edx
        add     esp, strict dword 0
.added: mov     eax, esp
        mov     esp, ebx
        sub     eax, ebx
        EQ      eax, edx
        loop    .stack

        ; ---- the running block, some way ahead and behind ----
        mov     ecx, 60
        xor     ebx, ebx
.ahead: add     ebx, strict dword 0     ; for the next round
.behind equ $ - 4
        mov     [.here - 4], ecx
        add     ebx, strict dword 0
.here:  mov     dword [.behind], 1
        dec     ecx
        jnz     .ahead
        mov     dword [.behind], 0
        EQ      ebx, 60 * 61 / 2 + 59

        ; ---- an opcode changes once the immediate is data ----
        mov     ecx, 90
        xor     ebx, ebx
.op:    mov     [.insn + 2], ecx        ; ADD EBX, imm32
        mov     al, 0xc3
        test    cl, 15
        jnz     .same
        mov     al, 0xeb                ; SUB EBX, imm32
.same:  mov     [.insn + 1], al
.insn:  add     ebx, strict dword 0x11111111
        loop    .op
        EQ      ebx, 90 * 91 / 2 - 2 * (16 + 32 + 48 + 64 + 80)
        mov     byte [.insn + 1], 0xc3
        ; one store that changes the immediate alone, or opcode and immediate
        mov     ecx, 90
        xor     ebx, ebx
.both:  mov     eax, 0x00c380           ; ADD BL, imm8
        test    cl, 7
        jnz     .add
        mov     eax, 0x00eb80           ; SUB BL, imm8
.add:   shl     eax, 8
        mov     al, 0x90
        mov     edx, ecx
        shl     edx, 24
        or      eax, edx
        mov     [.four], eax
        jmp     .four
        align   64
.four:  times 4 nop
        loop    .both
        movzx   ebx, bl
        EQ      ebx, (90 * 91 / 2 - 2 * 8 * 66) & 0xff

        ; one store that changes the immediate, and every eighth time the next opcode
        mov     ecx, 90
        xor     ebx, ebx
        xor     edx, edx
.tail:  mov     ah, 0x42                ; INC EDX
        test    cl, 7
        jnz     .inc
        mov     ah, 0x4a                ; DEC EDX
.inc:   mov     al, cl
        mov     [.after - 1], ax
        jmp     .three
        align   64
.three: add     bl, strict byte 0
.after: inc     edx
        loop    .tail
        movzx   ebx, bl
        EQ      ebx, (90 * 91 / 2) & 0xff
        EQ      edx, 90 - 2 * 11

        ; what is no immediate: a displacement that changes in front of its instruction, behind a
        ; store beside the code
        mov     edi, CODE_AT + 0x100
        mov     esi, .displaced
        mov     ecx, .displaced_end - .displaced
        cld
        rep     movsb
        mov     ebp, CODE_AT + 0x100
        lea     edi, [ebp + .lea - .displaced + 2]
        mov     esi, NEXT_AT
        mov     ecx, 60
        xor     ebx, ebx
        call    ebp
        EQ      ebx, 60 * 61 / 2
        lea     esi, [ebp + 0x80]
        mov     ecx, 60
        xor     ebx, ebx
        call    ebp
        EQ      ebx, 60 * 61 / 2
        jmp     .displaced_end
.displaced:
        mov     [esi], ecx
        mov     [edi], cl
.lea:   lea     ebx, [ebx + 0x7f]
        loop    .displaced
        ret
.displaced_end:
        ; the same, and the value is the old one, its complement, another
        mov     word [CODE_AT + 0x40], 0x9b8d           ; LEA EBX, [EBX + disp32]; RET
        mov     byte [CODE_AT + 0x46], 0xc3
        mov     edi, CODE_AT + 0x42
        mov     ebp, 60
.values:
        mov     esi, .list
.value: lodsd
        xor     ebx, ebx
        call    store4
        push    esi
        call    at_40
        pop     esi
        EQ      ebx, eax
        cmp     esi, .list_end
        jne     .value
        dec     ebp
        jnz     .values
        jmp     .list_end
.list:  dd      5, 5, -6, -6, 5, -6, 6, -7, -7, 0, -1, 0
.list_end:

        ; ---- data beside code, written by one instruction all over the page ----
        mov     edi, CODE_AT
        mov     eax, 0x90
        mov     ecx, 0x1000
        cld
        rep     stosb
        mov     dword [CODE_AT + 0x800], 0xc3c0ff43     ; INC EBX; INC EAX; RET
        mov     ebp, 400
        xor     ebx, ebx
.beside:
        imul    edi, ebp, 28
        and     edi, 0xffc
        cmp     edi, 0x800
        je      .skip
        mov     [CODE_AT + edi], ebp
        call    at_800
        EQ      [CODE_AT + edi], ebp
.skip:  dec     ebp
        jnz     .beside
        NE      ebx, 0
        ; what was data becomes code and is rewritten by the same stores
        mov     ebp, 100
.becomes:
        mov     edi, CODE_AT + 0x40
        mov     eax, 0x43
        call    store                   ; INC EBX
        mov     edi, CODE_AT + 0x41
        mov     eax, 0xc3
        call    store
        xor     ebx, ebx
        mov     ecx, 6
.run:   call    at_40
        loop    .run
        EQ      ebx, 6
        mov     edi, CODE_AT + 0x40
        mov     eax, 0x4b               ; DEC EBX
        call    store
        mov     ecx, 6
.back:  call    at_40
        loop    .back
        EQ      ebx, 0
        mov     edi, CODE_AT + 0x42     ; beside it
        mov     eax, ebp
        call    store
        dec     ebp
        jnz     .becomes

        ; ---- a store that ends in code, or begins in it, or lies across the page's end ----
        mov     dword [CODE_AT + 0x40], 0xc34343
        mov     ebp, 60
.edges: mov     edi, CODE_AT + 0x3d
        mov     eax, 0x43000000
        call    store4
        mov     edi, CODE_AT + 0x42
        mov     eax, 0x909090c3
        call    store4
        xor     ebx, ebx
        call    at_40
        EQ      ebx, 2
        mov     edi, CODE_AT + 0x3d
        mov     eax, 0x4b000000
        call    store4
        xor     ebx, ebx
        call    at_40
        EQ      ebx, 0
        mov     edi, NEXT_AT - 2
        mov     eax, ebp
        call    store4
        EQ      [NEXT_AT - 2], ebp
        dec     ebp
        jnz     .edges

        ; ---- the page of a hot store is exchanged, becomes read-only, is no longer dirty ----
        call    paging_on
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        mov     dword [CODE_AT + 0x40], 0xc34343
        mov     dword [NEXT_AT + 0x40], 0xc34343
        mov     ebp, 60
.map:   MAP     ALIAS, CODE_AT | P_P | P_W | P_U
        call    at_40
        mov     edi, ALIAS + 0x80
        mov     eax, ebp
        call    store4
        EQ      [CODE_AT + 0x80], ebp
        MAP     ALIAS, NEXT_AT | P_P | P_W | P_U
        neg     eax
        call    store4
        EQ      [CODE_AT + 0x80], ebp
        EQ      [NEXT_AT + 0x80], eax
        BITS_EQ [PTE(ALIAS)], P_D, P_D
        and     dword [PTE(ALIAS)], ~P_D
        invlpg  [ALIAS]
        call    store4
        BITS_EQ [PTE(ALIAS)], P_D, P_D
        mov     dword [ex_resume], .refused
        mov     dword [ex_count], 0
        MAP     ALIAS, CODE_AT | P_P | P_U
        mov     eax, 77
        call    store4
        FAIL
.refused:
        pop     eax                     ; the way back
        EQ      [ex_count], 1
        EQ      [ex_vector], PF
        EQ      [ex_cr2], ALIAS + 0x80
        EQ      [CODE_AT + 0x80], ebp
        ; code there is rewritten through the other address
        MAP     ALIAS, CODE_AT | P_P | P_W | P_U
        mov     edi, ALIAS + 0x40
        mov     eax, 0xc34b4b
        call    store4
        xor     ebx, ebx
        call    at_40
        EQ      ebx, -2
        mov     eax, 0xc34343
        call    store4
        xor     ebx, ebx
        call    at_40
        EQ      ebx, 2
        dec     ebp
        jnz     .map
        call    paging_off

        ; ---- 16-bit code with segments ----
        TO_REAL
        mov     ax, CODE_AT >> 4
        mov     es, ax
        mov     dword [es:0], 0xcb1234b8        ; MOV AX, imm16; RETF
        mov     cx, 100
.real:  mov     [es:1], cx
        call    (CODE_AT >> 4):0
        EQ16    ax, cx
        mov     [es:8], cx
        mov     [cs:.real_imm - 2], cx
        mov     dx, 0
.real_imm:
        EQ16    dx, cx
        push    strict word 0
.real_push:
        pop     dx
        mov     [cs:.real_push - 2], cx
        dec     cx
        jnz     .real
        EQ16    dx, 2
        mov     ax, 0
        mov     es, ax
        mov     [.real_push - 2], ax
        FROM_REAL
        ret

at_40:  mov     esi, CODE_AT + 0x40
        jmp     esi
at_800: mov     esi, CODE_AT + 0x800
        jmp     esi
; [EDI] = AL, EAX
store:  mov     [edi], al
        ret
store4: mov     [edi], eax
        ret

; Registers, flags and memory as every form finds them. EDX stays.
form_start:
        pop     dword [form_return]
        mov     [form_esp], esp
        mov     dword [memory], 0x89abcdef
        mov     dword [memory + 4], 0x01234567
        mov     dword [memory + 8], 0x7fff8000
        mov     edi, memory
        mov     ebx, 0x80007fff
        mov     ecx, 0x13579bdf
        mov     ebp, 0xfedcba98
        mov     eax, 0x00001234
        cmp     eax, ecx                ; CF
        jmp     [form_return]

; What the form has made of them, to `kept`. A pushed value is kept, too.
form_keep:
        mov     [kept_edi], edi
        mov     edi, kept
form_save:
        pop     dword [form_return]
        mov     [edi], eax
        mov     eax, [esp]              ; what was pushed, or what lies there anyway
        mov     [edi + 4], eax
        mov     [edi + 16], esp
        mov     esp, [form_esp]
        pushfd
        pop     dword [edi + 20]
        mov     [edi + 8], ebx
        mov     [edi + 12], ecx
        mov     [edi + 36], ebp
        and     dword [edi + 20], FLAGS
        mov     eax, [memory]
        mov     [edi + 24], eax
        mov     eax, [memory + 4]
        mov     [edi + 28], eax
        mov     eax, [kept_edi]
        mov     [edi + 32], eax
        jmp     [form_return]

form_compare:
        mov     [kept_edi], edi
        mov     edi, found
        pop     dword [compare_return]
        call    form_save
        mov     esi, kept
        mov     edi, found
        mov     ecx, 10
        cld
        repe    cmpsd
        je      .same
        mov     ebx, [edi - 4]
        mov     ecx, [esi - 4]
        FAIL
.same:  jmp     [compare_return]

        align   4
rounds:         dd 0
form_return:    dd 0
compare_return: dd 0
form_esp:       dd 0
kept_edi:       dd 0
memory:         times 4 dd 0
kept:           times 10 dd 0
found:          times 10 dd 0
