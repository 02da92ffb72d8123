; tests/guests/long_immediates.asm -- immediates.asm in 64-bit code: immediate operands that are
; rewritten all the time, with registers of both halves, RIP-relative and stack operands; what is
; added to RSP and to base registers; stores beside code from both levels and under other roots.
; [SDM 3A 8.1.3, 11.6 "Self-Modifying Code"], [SDM 2A 2.2.1 "REX Prefixes"]
%include "long.inc"

CODE_A  equ 0x220000
CODE_B  equ 0x221000
ALIAS   equ 0x300000            ; another linear address
ROUNDS  equ 40
FLAGS   equ 0x8c5               ; OF SF ZF PF CF; AF is undefined after some

; FORM bytes, {instruction with an immediate at its end}, {the same with RDX for it}
%macro FORM 3
        mov     dword [rounds], ROUNDS
%%loop: imul    edx, [rounds], 0x01c71235
        ror     edx, 11
%if %1 == 8
        imul    rdx, rdx, 0x7654321
        mov     [rel %%end - 8], rdx
%elif %1 == 4
        mov     [rel %%end - 4], edx
        movsxd  rdx, edx
%elif %1 == 2
        mov     [rel %%end - 2], dx
%else
        mov     [rel %%end - 1], dl
        movsx   rdx, dl
%endif
        call    form_start
        %2
%%end:  call    form_keep
        call    form_start
        %3
        call    form_compare
        dec     dword [rounds]
        jnz     %%loop
%endmacro

main64:
        mov     dword [main_rounds], 2
.main:  FORM    8, {mov rbx, strict qword 0x1122334455667788}, {mov rbx, rdx}
        FORM    8, {mov r9, strict qword 0x1122334455667788}, {mov r9, rdx}
        FORM    8, {mov r12, strict qword 0x1122334455667788}, {mov r12, rdx}
        FORM    4, {mov r9d, strict dword 0}, {mov r9d, edx}
        FORM    4, {mov ecx, strict dword 0}, {mov ecx, edx}
        FORM    4, {mov rcx, strict dword 0}, {mov rcx, rdx}
        FORM    4, {mov r11, strict dword 0}, {mov r11, rdx}
        FORM    2, {mov r11w, strict word 0}, {mov r11w, dx}
        FORM    1, {mov r13b, strict byte 0}, {mov r13b, dl}
        FORM    1, {mov sil, strict byte 0}, {mov sil, dl}
        FORM    1, {mov ah, strict byte 0}, {mov ah, dl}
        FORM    4, {and rbx, 0x11111111}, {and rbx, rdx}
        FORM    4, {adc r9, 0x11111111}, {adc r9, rdx}
        FORM    1, {sbb r12, strict byte 0}, {sbb r12, rdx}
        FORM    4, {add r9, 0x11111111}, {add r9, rdx}
        FORM    4, {sub rbx, 0x11111111}, {sub rbx, rdx}
        FORM    4, {add r13d, strict dword 0}, {add r13d, edx}
        FORM    1, {xor r11b, strict byte 0}, {xor r11b, dl}
        FORM    1, {or ch, strict byte 0}, {or ch, dl}
        FORM    2, {cmp r9w, strict word 0}, {cmp r9w, dx}
        FORM    4, {cmp rax, 0x11111111}, {cmp rax, rdx}
        FORM    4, {test rax, 0x11111111}, {test rax, rdx}
        FORM    4, {test r12, 0x11111111}, {test r12, rdx}
        FORM    4, {test r9d, strict dword 0}, {test r9d, edx}
        FORM    4, {mov qword [rdi + 4], 0x11111111}, {mov [rdi + 4], rdx}
        FORM    4, {mov dword [rel memory + 5], strict dword 0}, {mov [rel memory + 5], edx}
        FORM    1, {mov byte [rel memory + 6], strict byte 0}, {mov [rel memory + 6], dl}
        FORM    4, {add qword [rdi + rax * 2 - 0x2468], 0x11111111}, {add [rdi + rax * 2 - 0x2468], rdx}
        FORM    1, {adc dword [r15], strict byte 0}, {adc [r15], edx}
        FORM    1, {lock xor word [rdi + 3], strict byte 0}, {lock xor [rdi + 3], dx}
        FORM    1, {cmp byte [rdi + 2], strict byte 0}, {cmp [rdi + 2], dl}
        FORM    4, {mov dword [rsp - 8], strict dword 0}, {mov [rsp - 8], edx}
        FORM    4, {push strict dword 0}, {push rdx}
        FORM    1, {push strict byte 0}, {push rdx}
        FORM    2, {push strict word 0}, {push dx}

        ; ---- what is added to RSP, and to the base of the accesses around it ----
        mov     ecx, 60
        mov     rbx, rsp
.stack: imul    edx, ecx, -64
        mov     [rel .added - 4], edx
        mov     [rsp - 16], rcx
        add     rsp, 0x11111111
.added: mov     [rsp - 16], rcx
        mov     rax, rsp
        mov     rsp, rbx
        movsxd  rdx, edx
        sub     rax, rbx
        EQ64    rax, rdx
        loop    .stack
        mov     ecx, 60
.base:  mov     rdi, CODE_B
        imul    edx, ecx, 16
        mov     [rel .moved - 4], edx
        mov     [rdi], ecx
        add     rdi, 0x11111111
.moved: mov     [rdi + 4], ecx
        mov     eax, [rdi + 4]
        EQ      [CODE_B + 4 + rdx], ecx
        EQ      eax, ecx
        loop    .base
        ; a whole pointer is exchanged
        mov     ecx, 60
.pointer:
        imul    rdx, rcx, 0x20
        lea     rdx, [rdx + CODE_B]
        test    cl, 3
        jnz     .near
        mov     rdx, 0xffff800000000000 | CODE_B        ; the first GiB once more
.near:  mov     [rel .to - 8], rdx
        mov     rdi, strict qword 0x1122334455667788
.to:    EQ64    rdi, rdx
        loop    .pointer
        dec     dword [main_rounds]
        jnz     .main

        ; ---- level 3 writes data beside its code, and its code ----
        USER
        call    beside
        SUPERVISOR
        call    beside

        ; ---- the page of a hot store is exchanged, by INVLPG and by a load of CR3 ----
        mov     dword [CODE_A + 0x40], 0xc3c3ff
        mov     dword [CODE_B + 0x40], 0xc3c3ff
        mov     ebp, 60
.map:   MAP64   ALIAS, CODE_A | P_ALL, 0
        call    at_40
        mov     edi, ALIAS + 0x80
        mov     eax, ebp
        call    store4
        EQ      [CODE_A + 0x80], ebp
        SET_ENTRY PTE64(ALIAS), CODE_B | P_ALL, 0
        FLUSH64
        lea     eax, [rbp + 1000]
        call    store4
        EQ      [CODE_A + 0x80], ebp
        EQ      [CODE_B + 0x80], eax
        dec     ebp
        jnz     .map
        MAP64   ALIAS, ALIAS | P_ALL, 0
        ret

; Data all over a page with code, and the code's immediate, by one instruction.
beside: mov     dword [CODE_A + 0x40], 0x000000b8       ; MOV EAX, imm32; RET
        mov     dword [CODE_A + 0x44], 0x00c300
        mov     ebp, 400
.loop:  imul    edi, ebp, 28
        and     edi, 0xf80
        add     edi, CODE_A
        mov     eax, ebp
        call    store4
        EQ      [rdi], ebp
        mov     edi, CODE_A + 0x41
        call    store4
        call    at_40
        EQ      eax, ebp
        test    ebp, 31
        jnz     .same
        mov     edi, CODE_A + 0x40
        mov     eax, 0xb9               ; MOV ECX, imm32
        call    store1
        xor     ecx, ecx
        call    at_40
        EQ      ecx, ebp
        mov     eax, 0xb8
        call    store1
.same:  dec     ebp
        jnz     .loop
        ret

at_40:  mov     esi, CODE_A + 0x40
        jmp     rsi
store1: mov     [rdi], al
        ret
store4: mov     [rdi], eax
        ret

; Registers, flags and memory as every form finds them. RDX stays.
form_start:
        pop     qword [form_return]
        mov     [form_rsp], rsp
        mov     rdi, 0x0123456789abcdef
        mov     [memory], rdi
        mov     rdi, 0x7fff8000aa55cc33
        mov     [memory + 8], rdi
        mov     qword [rsp - 8], 0
        mov     edi, memory
        mov     r15d, memory
        mov     rbx, 0x8000ffff7fff1111
        mov     rcx, 0x13579bdf2468ace0
        mov     r9, 0xfedcba9876543210
        mov     r11, 0x1f2e3d4c5b6a7988
        mov     r12, 0x8899aabbccddeeff
        mov     r13, 0x0f0f0f0ff0f0f0f0
        mov     rsi, 0x5a5a5a5aa5a5a5a5
        mov     eax, 0x00001234
        cmp     eax, ecx                ; CF
        jmp     [form_return]

form_keep:
        pop     qword [form_return]
        mov     [kept_rdi], rdi
        mov     edi, kept
        jmp     form_save
form_compare:
        pop     qword [compare_return]
        mov     qword [form_return], .saved
        mov     [kept_rdi], rdi
        mov     edi, found
        jmp     form_save
.saved: mov     esi, kept
        mov     edi, found
        mov     ecx, 14
        cld
        repe    cmpsq
        je      .same
        FAIL
.same:  jmp     [compare_return]

form_save:
        mov     [rdi], rax
        mov     rax, [rsp]              ; what was pushed, or what lies there anyway
        mov     [rdi + 8], rax
        mov     [rdi + 16], rsp
        mov     rsp, [form_rsp]
        pushfq
        pop     qword [rdi + 24]
        and     dword [rdi + 24], FLAGS
        mov     [rdi + 32], rbx
        mov     [rdi + 40], rcx
        mov     [rdi + 48], r9
        mov     [rdi + 56], r11
        mov     [rdi + 64], r12
        mov     [rdi + 72], r13
        mov     [rdi + 80], rsi
        mov     rax, [memory]
        mov     [rdi + 88], rax
        mov     rax, [memory + 8]
        mov     [rdi + 96], rax
        mov     rax, [kept_rdi]
        mov     [rdi + 104], rax
        jmp     [form_return]

        align   8
form_return:    dq 0
compare_return: dq 0
form_rsp:       dq 0
kept_rdi:       dq 0
memory:         times 4 dq 0
kept:           times 14 dq 0
found:          times 14 dq 0
rounds:         dd 0
main_rounds:    dd 0
