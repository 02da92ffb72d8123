; tests/guests/long_jumps.asm -- jumps by register, calls by register and returns that nobody has
; called for, to a page that is another one each time: what was translated there before may not run,
; however fresh the memory of it.
; [SDM 3A 4.10.4 "Invalidation of TLBs and Paging-Structure Caches"]
%include "long.inc"

LIN     equ 0x8000000000
BAD     equ LIN + 0x1000                ; nothing is there
PDPT_A  equ FREE_TABLES
PD_A    equ FREE_TABLES + 0x1000
PT_A    equ FREE_TABLES + 0x2000
PAGE1   equ 0x220000
PAGE2   equ 0x221000

; At the page: +0x10 MOV AL, number; RET. +0x20 MOV AL, number; JMP RSI
%macro CODE 2                           ; page, number
        mov     dword [%1 + 0x10], 0xc300b0 | (%2 << 8)
        mov     dword [%1 + 0x20], 0xe6ff00b0 | (%2 << 8)
%endmacro

; The page for R13's turn is at LIN; R14 = its number.  Not yet invalidated.
%macro OTHER_PAGE 0
        mov     r14d, r13d
        and     r14d, 1
        inc     r14d
        mov     eax, r14d
        shl     eax, 12
        add     eax, (PAGE1 - 0x1000) | P_ALL
        mov     [PT_A], eax
%endmacro

main64: CODE    PAGE1, 1
        CODE    PAGE2, 2
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        SET_ENTRY PT_A + 8, 0, 0
        mov     rbx, LIN
        lea     rdi, [rbx + 0x10]
        lea     rbp, [rbx + 0x20]
        mov     r13d, 300
.loop:  OTHER_PAGE
        test    r13d, 4
        jz      .all
        invlpg  [rbx]
        jmp     .go
.all:   mov     rax, cr3
        mov     cr3, rax
.go:    mov     r12d, 3                 ; the second time nothing has changed
.again: test    r13d, 2
        jz      .jumps
        call    rdi
        cmp     al, r14b
        jne     .bad
.jumps: lea     rsi, [.back1]
        jmp     rbp
.back1: cmp     al, r14b
        jne     .bad
        lea     rsi, [.back2]
        push    rbp
        ret
.back2: cmp     al, r14b
        jne     .bad
        dec     r12d
        jnz     .again
        dec     r13d
        jnz     .loop

        ; a CALL that knows its target, but cannot push: what it knew is good for nothing
        mov     r13d, 100
.push:  OTHER_PAGE
        invlpg  [rbx]
        USER
        mov     r15, rsp
        mov     rsp, BAD + 0x800
        PAGE_FAULTS PF_U | PF_W, BAD + 0x7f8, call rdi
        mov     rsp, r15
        call    rdi
        cmp     al, r14b
        jne     .bad
        call    rdi
        cmp     al, r14b
        jne     .bad
        SUPERVISOR
        dec     r13d
        jnz     .push
        ret
.bad:   FAIL
