; tests/guests/long_arrays.asm -- loops through arrays: a base that stays and an index, of any size and
; direction, in any register.  A translator may add up in front of the loop what does not change in it:
; what suddenly changes, is elsewhere, or faults must be seen all the same.  And straight code that comes
; back to where it has just been.
%include "long.inc"

N       equ 150                 ; elements
HOT     equ 300
LOW     equ 0x220000            ; 8 pages, one to one
LIN     equ 0x8000000000        ; PML4[1]: 8 pages of other memory, 8 pages from what is in front of it
UPPER   equ 0xffff800000000000  ; PML4[256]: 8 pages more
LIN_AT  equ 0x240000
UPPER_AT equ 0x260000
BEFORE_AT equ 0x280000          ; the 4 pages in front of LIN
PDPT_A  equ FREE_TABLES
PD_A    equ FREE_TABLES + 0x1000
PT_A    equ FREE_TABLES + 0x2000
PDPT_B  equ FREE_TABLES + 0x3000
PD_B    equ FREE_TABLES + 0x4000
PT_B    equ FREE_TABLES + 0x5000
PD_C    equ FREE_TABLES + 0x6000
PT_C    equ FREE_TABLES + 0x7000
V_ABSENT equ 0x44               ; the page at LIN + 0x4000 goes
ABSENT  equ LIN + 0x4000

A_      equ vars64              ; addresses of three arrays
B_      equ vars64 + 8
C_      equ vars64 + 16
FAULTS_ equ vars64 + 24
CASE    equ vars64 + 32
SCRATCH equ vars64 + 64

main64: CR_SET  cr4, CR4_OSFXSR
        SET_GATE64 V_ABSENT, CODE64, LINEAR(make_absent), A_INT32 | DPL3, 0
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PML4 + 256 * 8, PDPT_B | P_ALL, 0
        SET_ENTRY PDPT_B, PD_B | P_ALL, 0
        SET_ENTRY PD_B, PT_B | P_ALL, 0
        SET_ENTRY PDPT + 511 * 8, PD_C | P_ALL, 0
        SET_ENTRY PD_C + 511 * 8, PT_C | P_ALL, 0
        xor     ecx, ecx
.map:   mov     eax, ecx
        shl     eax, 12
        lea     edx, [rax + LIN_AT + P_ALL]
        mov     [PT_A + rcx * 8], rdx
        lea     edx, [rax + UPPER_AT + P_ALL]
        mov     [PT_B + rcx * 8], rdx
        lea     edx, [rax + BEFORE_AT + P_ALL]
        mov     [PT_C + 508 * 8 + rcx * 8], rdx
        inc     ecx
        cmp     ecx, 4
        jb      .map
.rest:  mov     eax, ecx
        shl     eax, 12
        lea     edx, [rax + LIN_AT + P_ALL]
        mov     [PT_A + rcx * 8], rdx
        lea     edx, [rax + UPPER_AT + P_ALL]
        mov     [PT_B + rcx * 8], rdx
        inc     ecx
        cmp     ecx, 8
        jb      .rest
        FLUSH64
        call    all_places
        USER
        call    all_places
        SUPERVISOR
        RESET_GATE64 V_ABSENT
        ret

make_absent:
        push    rax
        mov     rax, ABSENT
        mov     dword [PT_A + 4 * 8], 0
        invlpg  [rax]
        pop     rax
        iretq

all_places:
        mov     rax, LIN
        mov     [A_], rax
        add     rax, 0x1000
        mov     [B_], rax
        add     rax, 0x1000
        mov     [C_], rax
        call    all
        mov     dword [A_], LOW
        mov     dword [A_ + 4], 0
        mov     rax, UPPER + 0x1000
        mov     [B_], rax
        mov     rax, LIN + 0x2800
        mov     [C_], rax
        call    all
        mov     rax, UPPER + 0x810
        mov     [A_], rax
        mov     dword [B_], LOW + 0x123
        mov     dword [B_ + 4], 0
        mov     dword [C_], LOW + 0x2001
        mov     dword [C_ + 4], 0
        call    all
        mov     rax, LIN - 0x1fa        ; its end is in another region
        mov     [C_], rax
        sub     rax, 0x1000
        mov     [A_], rax
        mov     rax, LIN - 0x2040
        mov     [B_], rax
        call    all
        call    faults
        call    rewritten
        call    recents
        call    tables
        ret

all:    call    sums
        call    moved
        call    seldom_moved
        call    nested
        call    pointers
        call    huge
        call    suddenly_huge
        call    wraps
        call    far_steps
        call    vectors
        call    divides
        call    modifies
        call    narrow
        call    both_stay
        call    on_stack
        call    branches
        ret

; ---- what the loops work on ----

; bytes 7 * i + 3 in all of A, 13 * i + 1 in B, C is empty; clobbers XMM0 to XMM2
fill:   mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        mov     ecx, N * 8 / 16
        movups  xmm0, [.a]
        movups  xmm1, [.b]
        pxor    xmm2, xmm2
.next:  movups  [rsi], xmm0
        movups  [rdi], xmm1
        movups  [rbx], xmm2
        paddb   xmm0, [.a_step]
        paddb   xmm1, [.b_step]
        add     rsi, 16
        add     rdi, 16
        add     rbx, 16
        dec     ecx
        jnz     .next
        ret
        align   16
%assign k 0
.a_step:
        times   16 db (16 * 7) & 0xff
.b_step:
        times   16 db (16 * 13) & 0xff
.a:
%rep 16
        db      (7 * k + 3) & 0xff
  %assign k k + 1
%endrep
%assign k 0
.b:
%rep 16
        db      (13 * k + 1) & 0xff
  %assign k k + 1
%endrep

; C = A + B in elements of EAX bytes
check:  mov     r8d, eax
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        mov     ecx, N
.next:  cmp     r8d, 2
        jb      .b1
        je      .b2
        cmp     r8d, 8
        je      .b8
        mov     eax, [rsi]
        add     eax, [rdi]
        cmp     eax, [rbx]
        jmp     .on
.b1:    mov     al, [rsi]
        add     al, [rdi]
        cmp     al, [rbx]
        jmp     .on
.b2:    mov     ax, [rsi]
        add     ax, [rdi]
        cmp     ax, [rbx]
        jmp     .on
.b8:    mov     rax, [rsi]
        add     rax, [rdi]
        cmp     rax, [rbx]
.on:    jne     .bad
        add     rsi, r8
        add     rdi, r8
        add     rbx, r8
        dec     ecx
        jnz     .next
        ret
.bad:   FAIL

; RDX as large as an element
%define V_1 dl
%define V_2 dx
%define V_4 edx
%define V_8 rdx

; ---- three arrays, all ways through them ----
; a, b, c, index, scale
%macro SUM3 5
        call    fill
        mov     %1, [A_]
        mov     %2, [B_]
        mov     %3, [C_]
        xor     %4, %4
%%up:   mov     V_%5, [%1 + %4 * %5]
        add     V_%5, [%2 + %4 * %5]
        mov     [%3 + %4 * %5], V_%5
        add     %4, 1
        cmp     %4, N
        jb      %%up
        mov     eax, %5
        call    check
        call    fill
        mov     %1, [A_]
        mov     %2, [B_]
        mov     %3, [C_]
        mov     %4, N - 1
%%down: mov     V_%5, [%2 + %4 * %5]
        add     V_%5, [%1 + %4 * %5]
        mov     [%3 + %4 * %5], V_%5
        dec     %4
        jns     %%down
        mov     eax, %5
        call    check
        call    fill
        mov     %1, [A_]
        mov     %2, [B_]
        mov     %3, [C_]
        add     %1, N * %5
        add     %2, N * %5
        add     %3, N * %5 - 16
        mov     %4, -N
%%negative:
        mov     V_%5, [%2 + %4 * %5]
        mov     [%3 + %4 * %5 + 16], V_%5
        mov     V_%5, [%1 + %4 * %5]
        add     [%3 + %4 * %5 + 16], V_%5
        inc     %4
        jnz     %%negative
        mov     eax, %5
        call    check
%endmacro

sums:   SUM3    rsi, rdi, rbx, rax, 1
        SUM3    rsi, rdi, rbx, rax, 8
        SUM3    rax, rcx, rsi, rdi, 4
        SUM3    r8, r9, r10, r11, 2
        SUM3    r12, r13, r14, r15, 4
        SUM3    rcx, rbp, r8, rbx, 8
        SUM3    r15, rax, rsi, r12, 8
        SUM3    rdi, r13, rbp, r8, 1
        SUM3    r9, r14, r11, r10, 4
        SUM3    rbx, r12, rcx, r9, 2
        SUM3    r14, r15, rdi, r13, 8
        SUM3    r11, r10, rax, r14, 1
        SUM3    rbp, rsi, r12, rcx, 4
        ; the base is where indices are, the number where bases are
        call    fill
        mov     rsi, [A_]
        mov     r9, [B_]
        mov     rbx, [C_]
        xor     eax, eax
.swapped:
        mov     dl, [rax + rsi * 1]
        add     dl, [rax + r9 * 1]
        mov     [rax + rbx * 1], dl
        inc     rax
        cmp     rax, N
        jb      .swapped
        mov     eax, 1
        call    check
        call    fill
        mov     r10, [A_]
        mov     rbp, [B_]
        mov     r12, [C_]
        mov     r13, -N
        add     r10, N
        add     rbp, N
        add     r12, N
.swapped2:
        mov     dl, [r13 + r10 * 1]
        add     dl, [rbp + r13 * 1]
        mov     [r13 + r12 * 1], dl
        inc     r13
        jnz     .swapped2
        mov     eax, 1
        call    check
        ret

; ---- bases that the loop moves: each round, or on its way out ----
%macro MOVED 1+                 ; what moves RSI from one element to the next
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        xor     eax, eax
        xor     r8d, r8d
        mov     r9d, 8
%%loop: mov     rdx, [rsi + r8]         ; R8 is zero
        add     rdx, [rdi + rax * 8]
        mov     [rbx + rax * 8], rdx
        inc     rax
        %1
        cmp     rax, N
        jb      %%loop
        mov     eax, 8
        call    check
%endmacro
moved:  MOVED   add rsi, 8
        MOVED   add rsi, r9
        MOVED   lea rsi, [rsi + r9]
        MOVED   lea rsi, [rsi + 8]
        MOVED   sub rsi, -8
        ; to another array and back, within one round
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        xor     eax, eax
.turn:  mov     rdx, [rsi + rax * 8]
        xchg    rsi, rdi
        add     rdx, [rsi + rax * 8]
        xchg    rsi, rdi
        mov     [rbx + rax * 8], rdx
        inc     rax
        cmp     rax, N
        jb      .turn
        mov     eax, 8
        call    check
        ; only on the way out
        call    fill
        mov     r12d, 10
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
.outer: xor     eax, eax
.inner: mov     rdx, [rsi + rax * 8]
        add     rdx, [rdi + rax * 8]
        mov     [rbx + rax * 8], rdx
        inc     rax
        cmp     rax, N / 10
        je      .out
        jmp     .inner
.out:   add     rsi, N / 10 * 8
        lea     rdi, [rdi + N / 10 * 8]
        add     rbx, N / 10 * 8
        dec     r12d
        jnz     .outer
        mov     eax, 8
        call    check
        ret

; ---- now and then A and B change places, in the loop ----
seldom_moved:
        call    fill
        mov     rsi, [A_]
        mov     r8, [B_]
        mov     rbx, [C_]
        xor     eax, eax
.loop:  mov     rdx, [rsi + rax * 8]
        add     rdx, [r8 + rax * 8]
        mov     [rbx + rax * 8], rdx
        inc     rax
        test    al, 31
        jz      .change
.on:    cmp     rax, N
        jb      .loop
        mov     eax, 8
        call    check
        ; by a pop
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        xor     eax, eax
.loop2: mov     rdx, [rsi + rax * 8]
        add     rdx, [rdi + rax * 8]
        mov     [rbx + rax * 8], rdx
        push    rdi
        inc     rax
        test    al, 31
        jnz     .on2
        mov     [rsp], rsi
        mov     rsi, rdi
.on2:   pop     rdi
        cmp     rax, N
        jb      .loop2
        mov     eax, 8
        call    check
        ret
.change:
        mov     rcx, rsi
        mov     rsi, r8
        mov     r8, rcx
        jmp     .on

; ---- rows and columns: the inner loop's bases change in the outer one ----
ROWS    equ 12
nested: call    fill
        mov     r8, [A_]                ; C = A * B, 12 by 12
        mov     r13, [C_]
        xor     r12d, r12d
.row:   xor     r11d, r11d
.column:
        mov     r9, [B_]
        lea     r9, [r9 + r11 * 8]
        xor     eax, eax
        xor     r10d, r10d
.sum:   mov     rdx, [r8 + rax * 8]
        imul    rdx, [r9]
        add     r10, rdx
        add     r9, ROWS * 8
        inc     rax
        cmp     rax, ROWS
        jb      .sum
        mov     [r13 + r11 * 8], r10
        inc     r11
        cmp     r11, ROWS
        jb      .column
        add     r8, ROWS * 8
        add     r13, ROWS * 8
        inc     r12
        cmp     r12, ROWS
        jb      .row
        ; the other way round: columns outside
        mov     rdi, [B_]
        mov     rbp, [C_]
        xor     r11d, r11d
.column2:
        mov     rsi, [A_]
        xor     r12d, r12d
.row2:  mov     rbx, -ROWS
        lea     r14, [rsi + ROWS * 8]
        mov     r15, rdi
        xor     r10d, r10d
.sum2:  mov     rdx, [r14 + rbx * 8]
        imul    rdx, [r15 + r11 * 8]
        add     r15, ROWS * 8
        add     r10, rdx
        inc     rbx
        jnz     .sum2
        lea     rax, [r12 + r12 * 2]    ; * 12
        lea     rax, [r11 + rax * 4]
        cmp     [rbp + rax * 8], r10
        jne     .bad
        add     rsi, ROWS * 8
        inc     r12
        cmp     r12, ROWS
        jb      .row2
        inc     r11
        cmp     r11, ROWS
        jb      .column2
        ret
.bad:   FAIL

; ---- the pointer is what moves, the number stays ----
%macro POINTERS 2               ; the number; registers for it
        call    fill
        mov     %2, %1
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        sub     rsi, %2
        sub     rdi, %2
        sub     rbx, %2
        mov     ecx, N
%%loop: mov     rdx, [%2 + rsi * 1]
        add     rdx, [%2 + rdi * 1]
        mov     [%2 + rbx * 1], rdx
        add     rsi, 8
        add     rdi, 8
        add     rbx, 8
        dec     ecx
        jnz     %%loop
        mov     eax, 8
        call    check
        ; halves of pointers, from odd ones too
        call    fill
        mov     %2, %1
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        sub     rsi, %2
        sub     rdi, %2
        sub     rbx, %2
        mov     edx, esi
        and     edx, 1
        mov     [SCRATCH], rdx
        mov     edx, edi
        and     edx, 1
        mov     [SCRATCH + 8], rdx
        mov     edx, ebx
        and     edx, 1
        mov     [SCRATCH + 16], rdx
        shr     rsi, 1                  ; what is lost comes back modulo 2^64
        shr     rdi, 1
        shr     rbx, 1
        mov     r9, %2
        mov     r10, %2
        mov     r11, %2
        add     r9, [SCRATCH]
        add     r10, [SCRATCH + 8]
        add     r11, [SCRATCH + 16]
        mov     ecx, N
%%half: mov     rdx, [r9 + rsi * 2]
        add     rdx, [r10 + rdi * 2]
        mov     [r11 + rbx * 2], rdx
        add     rsi, 4
        add     rdi, 4
        add     rbx, 4
        dec     ecx
        jnz     %%half
        mov     eax, 8
        call    check
%endmacro
pointers:
        POINTERS -8, rax
        POINTERS 0, r8
        POINTERS 1 << 40, r12
        POINTERS -(1 << 40), rbp
        POINTERS 1 << 47, r13           ; not canonical by itself
        POINTERS 0x7fffffff, r14
        POINTERS 0x7654321089abcdef, r15
        ret

; ---- indices that are huge, but not if multiplied ----
%macro HUGE 2                   ; scale, log2 of 2^64 divided by it
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     r8, [C_]
        mov     rax, 1 << %2
        mov     rcx, (1 << %2) + N
%%loop: mov     V_%1, [rsi + rax * %1]
        add     V_%1, [rdi + rax * %1]
        mov     [r8 + rax * %1], V_%1
        inc     rax
        cmp     rax, rcx
        jb      %%loop
        mov     eax, %1
        call    check
        ; first small, then so: the sum is the same
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     r8, [C_]
        xor     r10d, r10d
        mov     r9, 1 << %2
        mov     ecx, N
%%turn: mov     V_%1, [rsi + r10 * %1]
        add     V_%1, [rdi + r10 * %1]
        mov     [r8 + r10 * %1], V_%1
        inc     r10
        add     r10, r9
        dec     ecx
        jnz     %%turn
        mov     eax, %1
        call    check
%endmacro
huge:   HUGE    2, 63
        HUGE    4, 62
        HUGE    8, 61
        ret

; ---- small for many rounds, then to where another array is ----
; The last of A's elements are taken from B by A's base, and C's are stored by A's, too.
%macro SUDDENLY 4               ; scale, index, base, another index
        call    fill
        mov     %3, [A_]
        mov     %4, [B_]
        and     %4, -%1                 ; at a multiple from A
        mov     rdx, [A_]
        and     edx, %1 - 1
        or      %4, rdx
        sub     %4, %3
        sar     %4, %%log
        mov     [SCRATCH], %4
        xor     edx, edx
        xor     %2, %2
        xor     r10d, r10d
%%loop: movzx   edi, byte [%3 + %2 * %1]
        lea     rdx, [rdx + rdx * 2]
        add     rdx, rdi
        xor     rdx, [%3 + %2 * %1 - 8]
        inc     %2
        inc     r10d
        cmp     r10d, HOT
        jb      %%loop
        cmovz   %2, [SCRATCH]           ; from the first of B's once
        cmp     r10d, HOT + 20
        jb      %%loop
        mov     [SCRATCH + 8], rdx
        ; the same by pointers
        mov     rsi, [A_]
        xor     edx, edx
        xor     ecx, ecx
%%same: cmp     ecx, HOT
        jne     %%stay
        mov     rsi, [SCRATCH]
        shl     rsi, %%log
        add     rsi, [A_]
%%stay: movzx   edi, byte [rsi]
        lea     rdx, [rdx + rdx * 2]
        add     rdx, rdi
        xor     rdx, [rsi - 8]
        add     rsi, %1
        inc     ecx
        cmp     ecx, HOT + 20
        jb      %%same
        EQ64    [SCRATCH + 8], rdx
%if %1 == 1
%%log   equ 0
%elif %1 == 2
%%log   equ 1
%elif %1 == 4
%%log   equ 2
%else
%%log   equ 3
%endif
%endmacro
suddenly_huge:
        SUDDENLY 1, rax, rsi, r8
        SUDDENLY 2, rbx, r9, r11
        SUDDENLY 4, r13, rbp, rcx
        SUDDENLY 8, r12, rsi, rax
        SUDDENLY 1, r14, r15, rcx
        SUDDENLY 8, rcx, r14, r9
        ; stores, with a table of indices
        call    fill
        mov     rsi, [C_]
        mov     rdi, [B_]
        sub     rdi, rsi
        xor     ecx, ecx
.loop:  mov     eax, ecx
        and     eax, 7
        cmp     ecx, HOT
        cmovae  rax, rdi                ; to B's first two
        mov     [rsi + rax], cl
        add     byte [rsi + rax + 1], 3
        inc     ecx
        cmp     ecx, HOT + 7
        jb      .loop
        mov     rdi, [B_]
        movzx   eax, byte [rdi]
        EQ      eax, (HOT + 6) & 0xff
        movzx   eax, byte [rdi + 1]
        EQ      eax, 1 + 13 + 7 * 3
        mov     rsi, [C_]
        movzx   eax, byte [rsi + 7]
        EQ      eax, (HOT - 5) & 0xff   ; 295 is 7 more than a multiple of 8
        movzx   eax, byte [rsi + 8]
        EQ      eax, HOT / 8 * 3 & 0xff
        ret

; ---- an index that goes over 2^64 and below 0, and back ----
wraps:  mov     r12d, 4
.again: call    fill
        mov     rsi, [A_]
        add     rsi, N * 4
        mov     rdi, [B_]
        add     rdi, N * 4
        mov     rbx, [C_]
        add     rbx, N * 4
        mov     rax, -(N / 2)
.loop:  mov     rdx, [rsi + rax * 8]
        add     rdx, [rdi + rax * 8]
        mov     [rbx + rax * 8], rdx
        add     rax, 1
        cmp     rax, N / 2
        jne     .loop
        mov     eax, 8
        call    check
        dec     r12d
        jnz     .again
        ret

; ---- steps that are just not too large to be known, and too large ones ----
%macro FAR_STEPS 3              ; step, how often in a round, scale
        call    fill
        mov     rsi, [A_]
        mov     rdi, [C_]
        xor     eax, eax
        mov     ecx, HOT
        xor     r9d, r9d
%%loop: mov     edx, [rsi + rax * %3]
        mov     ebx, [rdi + rax * %3]
%assign k 1
%rep %2
        add     rax, %1
        add     edx, [rsi + rax * %3 - k * (%1) * %3]
        add     ebx, edx
        mov     [rdi + rax * %3 - k * (%1) * %3], ebx
  %assign k k + 1
%endrep
        add     r9d, ebx
        sub     rax, (%1) * (%2)
        dec     ecx
        jnz     %%loop
        mov     [SCRATCH], r9d
        ; the same by one pointer
        mov     rdi, [C_]
        mov     dword [rdi], 0
        mov     rsi, [A_]
        mov     ecx, HOT
        xor     r9d, r9d
%%same: mov     edx, [rsi]
        mov     ebx, [rdi]
%rep %2
        add     edx, [rsi]
        add     ebx, edx
        mov     [rdi], ebx
%endrep
        add     r9d, ebx
        dec     ecx
        jnz     %%same
        EQ      [SCRATCH], r9d
%endmacro
far_steps:
        FAR_STEPS 0x100000, 5, 8
        FAR_STEPS -0x100000, 9, 4
        FAR_STEPS 0x80000, 3, 8
        FAR_STEPS 0x100001, 3, 8
        FAR_STEPS 0x4000000, 3, 8
        FAR_STEPS 0x20000000, 3, 1
        FAR_STEPS -0x20000000, 3, 1
        ret

; ---- vectors ----
vectors:
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     rbx, [C_]
        xor     eax, eax
.loop:  movups  xmm0, [rsi + rax]
        movdqu  xmm1, [rdi + rax]
        paddq   xmm0, xmm1
        movups  [rbx + rax], xmm0
        add     rax, 16
        cmp     rax, N * 8
        jb      .loop
        mov     eax, 8
        call    check
        call    fill
        mov     r8, [A_]
        mov     r14, [B_]
        mov     r15, [C_]
        mov     r13, N
.down:  movq    xmm2, [r8 + r13 * 8 - 8]
        movhps  xmm2, [r14 + r13 * 8 - 8]
        movdqa  xmm3, xmm2
        punpckhqdq xmm3, xmm3
        paddq   xmm3, xmm2
        movlps  [r15 + r13 * 8 - 8], xmm3
        dec     r13
        jnz     .down
        mov     eax, 8
        call    check
        call    fill
        mov     rbp, [A_]
        mov     r9, [B_]
        mov     r10, [C_]
        mov     rcx, -N
        add     rbp, N * 4
        add     r9, N * 4
        add     r10, N * 4
.singles:
        movd    xmm4, [rbp + rcx * 4]
        movd    xmm5, [r9 + rcx * 4]
        paddd   xmm4, xmm5
        movss   [r10 + rcx * 4], xmm4
        inc     rcx
        jnz     .singles
        mov     eax, 4
        call    check
        ret

; ---- DIV by what is in an array ----
divides:
        call    fill
        mov     rsi, [A_]
        mov     r8, [B_]
        mov     rbx, [C_]
        xor     ecx, ecx
.loop:  mov     r10d, [rsi + rcx * 4]
        or      r10d, 0x10000
        mov     [rsi + rcx * 4], r10d
        mov     eax, [r8 + rcx * 4]
        mov     edx, ecx
        div     dword [rsi + rcx * 4]
        mov     r9d, eax
        imul    r9, r10                 ; quotient * divisor + remainder
        add     r9, rdx
        shl     rcx, 32
        mov     eax, [r8]               ; between
        shr     rcx, 32
        mov     eax, [r8 + rcx * 4]
        mov     rdx, rcx
        shl     rdx, 32
        or      rdx, rax
        cmp     rdx, r9
        jne     .bad
        inc     rcx
        cmp     rcx, N
        jb      .loop
        ; and by signed bytes, indices in memory
        mov     r13, [A_]
        mov     r12, -N
        add     r13, N
        xor     r14d, r14d
.bytes: or      byte [r13 + r12], 0x41
        mov     eax, 55
        idiv    byte [r13 + r12]
        movsx   r9d, al
        movsx   r11d, byte [r13 + r12]
        imul    r9d, r11d
        movsx   eax, ah
        add     r9d, eax
        cmp     r9d, 55
        jne     .bad
        inc     r12
        jnz     .bytes
        ret
.bad:   FAIL

; ---- read, modify, write ----
modifies:
        call    fill
        mov     rdi, [A_]
        mov     r9, [B_]
        mov     rbx, [C_]
        xor     eax, eax
        xor     r10d, r10d
.loop:  mov     ecx, [r9 + rax * 4]
        mov     edx, [rdi + rax * 4]
        lea     r11d, [rdx + rcx]
        mov     [rbx + rax * 4], r11d
        add     [rdi + rax * 4], ecx    ; A + B
        cmp     [rdi + rax * 4], r11d
        jne     .bad
        lock xor [rdi + rax * 4], r11d  ; 0
        jnz     .bad
        not     dword [rdi + rax * 4]   ; -1
        inc     dword [rdi + rax * 4]
        jnz     .bad
        mov     r8d, edx
        xadd    [rdi + rax * 4], r8d    ; A
        test    r8d, r8d
        jnz     .bad
        xchg    r8d, [rdi + rax * 4]    ; 0
        cmp     r8d, edx
        jne     .bad
        mov     r12, rax
        xor     eax, eax
        cmpxchg [rdi + r12 * 4], edx    ; A
        jnz     .bad
        mov     rax, r12
        rol     dword [rdi + rax * 4], 9
        ror     dword [rdi + rax * 4], cl
        rol     dword [rdi + rax * 4], cl
        ror     dword [rdi + rax * 4], 9
        bts     dword [rdi + rax * 4], 31
        sbb     r13d, r13d
        neg     dword [rdi + rax * 4]
        neg     dword [rdi + rax * 4]
        sbb     dword [rdi + rax * 4], 0
        adc     dword [rdi + rax * 4], 1
        mov     [rdi + rax * 4], edx
        inc     rax
        cmp     rax, N
        jb      .loop
        mov     eax, 4
        call    check
        ret
.bad:   FAIL

; ---- indices of 32 bits ----
narrow: call    fill
        mov     rsi, [A_]
        mov     r8, [B_]
        mov     rbx, [C_]
        mov     ecx, 0x100
.loop:  movzx   eax, cx
        mov     rdx, [rsi + rax * 8 - 0x800]
        add     rdx, [r8 + rax * 8 - 0x800]
        mov     [rbx + rax * 8 - 0x800], rdx
        inc     ecx
        cmp     ecx, 0x100 + N
        jb      .loop
        mov     eax, 8
        call    check
        call    fill
        mov     r12, [A_]
        mov     r13, [B_]
        mov     r14, [C_]
        mov     r15d, 0xffffffff - N + 1
.signed:
        movsxd  rcx, r15d
        mov     edx, [r12 + rcx * 4 + N * 4]
        mov     eax, r15d
        neg     eax                     ; N .. 1
        movsxd  rdi, r15d
        add     edx, [r13 + rdi * 4 + N * 4]
        neg     rax
        mov     [r14 + rax * 4 + N * 4], edx
        inc     r15d
        jnz     .signed
        mov     eax, 4
        call    check
        ; as large as they can be, and the base as low
        call    fill
        mov     rsi, [A_]
        mov     r8, [B_]
        mov     rbx, [C_]
        mov     rax, 0x7fffff00 * 4
        sub     rsi, rax
        sub     r8, rax
        sub     rbx, rax
        mov     ecx, 0x7fffff00
.large: mov     eax, ecx
        mov     dx, [rsi + rax * 4]
        add     dx, [r8 + rax * 4]
        mov     [rbx + rax * 4], dx
        add     rsi, -2
        sub     r8, 2
        sub     rbx, 2
        inc     ecx
        cmp     ecx, 0x7fffff00 + N
        jb      .large
        mov     eax, 2
        call    check
        ret

; ---- nothing moves but what is stored ----
both_stay:
        call    fill
        mov     rsi, [A_]
        mov     r9, [C_]
        mov     rdi, 5
        mov     r11, [B_]
        sub     r11, rsi                ; from A to B
        xor     edx, edx
        mov     ecx, HOT
.loop:  add     rdx, [rsi + rdi * 8 + 16]
        add     rdx, [rsi + r11]
        mov     [r9 + rdi * 4], rdx
        add     byte [r9 + rdi * 4], 1
        add     [r11 + rsi + 8], edi
        dec     ecx
        jnz     .loop
        mov     rax, [rsi + 56]
        mov     rbx, [B_]
        add     rax, [rbx]
        imul    rax, rax, HOT
        cmp     rax, rdx
        jne     .bad
        lea     rax, [rdx + 1]
        cmp     al, [r9 + 20]
        jne     .bad
        cmp     rdx, [r9 + 20]
        je      .bad
        mov     eax, [rbx + 8]
        sub     eax, 5 * HOT
        EQ      eax, 0x69 | 0x76 << 8 | 0x83 << 16 | 0x90 << 24
        ; and a base that is its own index
        xor     edx, edx
        mov     ecx, HOT
        mov     r8d, 0x110
.twice: add     edx, [r8 + r8 + LOW]
        add     edx, [r8 + r8 * 8 + LOW]
        dec     ecx
        jnz     .twice
        mov     eax, [LOW + 0x220]
        add     eax, [LOW + 0x990]
        imul    eax, eax, HOT
        EQ      eax, edx
        ret
.bad:   FAIL

; ---- arrays on the stack, that PUSH and POP move by the way ----
on_stack:
        mov     rbp, rsp
        sub     rsp, 0x400
        mov     rsi, [A_]
        call    fill
        mov     rsi, [A_]
        xor     eax, eax
.copy:  mov     rdx, [rsi + rax * 8]
        mov     [rsp + rax * 8], rdx
        inc     rax
        cmp     rax, 0x80
        jb      .copy
        mov     rsi, [A_]
        sub     rsi, rsp
        xor     eax, eax
        mov     r8, rsp
        xor     r9d, r9d
.pushed:
        push    rax
        mov     rdx, [rsp + rax * 8 + 8]
        push    rdx
        cmp     rdx, [r8 + rax * 8]
        jne     .bad
        mov     rcx, [rsi + rsp + 16]   ; A[0]
        pop     rbx
        add     r9, rcx
        mov     rcx, [rsp + rsi + 8]
        add     r9, rcx
        cmp     rbx, rdx
        jne     .bad
        pop     rbx
        inc     rax
        cmp     rax, 0x80
        jb      .pushed
        mov     rsi, [A_]
        mov     rdx, [rsi]
        shl     rdx, 8
        EQ64    rdx, r9
        mov     rsp, rbp
        ret
.bad:   FAIL

; ---- ways that nobody can foresee through the same arrays ----
branches:
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     r8, [C_]
        xor     eax, eax
        mov     r9d, 12345
        mov     ecx, HOT * 2
        xor     r10d, r10d
        xor     r12d, r12d
.loop:  imul    r9d, r9d, 1103515245
        add     r9d, 12345
        test    r9d, 0x10000
        jz      .other
        mov     edx, [rsi + rax * 4]
        add     r10d, edx
        jmp     .join
.other: mov     edx, [rdi + rax * 4]
        xor     r10d, edx
        inc     r12d
.join:  mov     [r8 + rax * 4], edx
        test    r9d, 0x700000
        jnz     .on
        xchg    rsi, rdi                ; 1 of 8
.on:    inc     rax
        cmp     rax, N
        jb      .next
        xor     eax, eax
.next:  test    r9d, 0x3000000
        jnz     .last
        mov     r11d, r9d               ; a loop inside
        shr     r11d, 29
        inc     r11d
.inner: add     r10d, [r8 + r11 * 4]
        add     dword [r8 + rax * 4], 1
        dec     r11
        jnz     .inner
.last:  dec     ecx
        jnz     .loop
        mov     [SCRATCH], r10d
        mov     [SCRATCH + 4], r12d
        ; the same with indices by pointers
        call    fill
        mov     rsi, [A_]
        mov     rdi, [B_]
        mov     r8, [C_]
        xor     eax, eax
        mov     r9d, 12345
        mov     ecx, HOT * 2
        xor     r10d, r10d
        xor     r12d, r12d
.loop2: imul    r9d, r9d, 1103515245
        add     r9d, 12345
        mov     rbx, rsi
        test    r9d, 0x10000
        cmovz   rbx, rdi
        lea     rbx, [rbx + rax * 4]
        mov     edx, [rbx]
        jz      .other2
        add     r10d, edx
        jmp     .join2
.other2:
        xor     r10d, edx
        inc     r12d
.join2: lea     rbx, [r8 + rax * 4]
        mov     [rbx], edx
        test    r9d, 0x700000
        jnz     .on2
        xchg    rsi, rdi
.on2:   inc     rax
        cmp     rax, N
        jb      .next2
        xor     eax, eax
.next2: test    r9d, 0x3000000
        jnz     .last2
        mov     r11d, r9d
        shr     r11d, 29
        inc     r11d
.inner2:
        lea     rbx, [r8 + r11 * 4]
        add     r10d, [rbx]
        lea     rbx, [r8 + rax * 4]
        inc     dword [rbx]
        dec     r11
        jnz     .inner2
.last2: dec     ecx
        jnz     .loop2
        EQ      [SCRATCH], r10d
        EQ      [SCRATCH + 4], r12d
        ret

; ---- pages that are not there: the instruction faults once, and is run again ----
; base, index, scale, the instruction with VAL at [base + index * scale]
%macro FAULT 3+
        mov     dword [FAULTS_], 0
        mov     qword [lx_hook], %%hook
        int     V_ABSENT
        mov     %1, ABSENT - HOT * 4
        mov     r14, LIN + 0x1000
        xor     %2, %2
        mov     edx, 3
        mov     ecx, 1
        xor     ebp, ebp
        mov     r15, -7
%%loop: inc     rcx
        add     edx, [r14 + %2 * 4]
        lea     r15, [r15 + 2]
        stc
%%at:   %3
        adc     ebp, 0
        inc     %2
        cmp     %2, HOT + 50
        jb      %%loop
        mov     qword [lx_hook], 0
        EQ      [FAULTS_], 1
        EQ      ebp, [CASE]
        EQ      ecx, HOT + 51
        jmp     near %%end
%%hook: EQ      [lx_vector], PF
        inc     dword [FAULTS_]
        EQ64    [lx_rip], LINEAR(%%at)
        mov     rax, ABSENT
        EQ64    [lx_cr2], rax
        BITS_EQ [lx_rflags], F_CF, F_CF
        EQ64    [rbp + L_RCX], HOT + 2
        EQ64    [rbp + L_R15], -7 + (HOT + 1) * 2
        mov     rax, LIN + 0x1000
        EQ64    [rbp + L_R14], rax
        mov     dword [PT_A + 4 * 8], LIN_AT + 0x4000 | P_ALL
        ret
%%end:
%endmacro
faults: call    fill
        mov     dword [CASE], HOT + 50  ; rounds that leave CF set
        FAULT   rsi, rax, mov ebx, [rsi + rax * 4]
        FAULT   rdi, r8, mov [rdi + r8 * 4], edx
        FAULT   r9, rbx, mov dword [r9 + rbx * 4], 0x12345678
        FAULT   r11, r10, movd xmm0, [r11 + r10 * 4]
        FAULT   rbx, r13, movd [rbx + r13 * 4], xmm0
        FAULT   r12, rdi, xchg r8d, [r12 + rdi * 4]
        mov     dword [CASE], 0
        FAULT   rsi, rax, and dword [rsi + rax * 4], 0xff
        FAULT   r8, rsi, or [r8 + rsi * 4], edx
        ; DIV's other operands are what they were
        mov     dword [FAULTS_], 0
        mov     qword [lx_hook], .hook
        mov     r12, ABSENT - 4 * HOT
        mov     r13, LIN + 0x2000
        xor     esi, esi
.ones:  mov     dword [r12 + rsi * 4], 3
        inc     esi
        cmp     esi, HOT + 50
        jb      .ones
        int     V_ABSENT
        xor     esi, esi
        xor     edi, edi
.div:   lea     eax, [rsi + rsi * 2 + 2]
        xor     edx, edx
.div_at:
        div     dword [r12 + rsi * 4]
        mov     [r13 + rsi * 4], eax
        add     edi, edx
        inc     rsi
        cmp     rsi, HOT + 50
        jb      .div
        mov     qword [lx_hook], 0
        EQ      [FAULTS_], 1
        EQ      edi, (HOT + 50) * 2
        EQ      [LIN_AT + 0x2000 + (HOT + 49) * 4], HOT + 49
        ret
.hook:  EQ      [lx_vector], PF
        inc     dword [FAULTS_]
        EQ64    [lx_rip], LINEAR(.div_at)
        EQ64    [rbp + L_RAX], HOT * 3 + 2
        EQ64    [rbp + L_RDX], 0
        EQ64    [rbp + L_RSI], HOT
        EQ64    [rbp + L_RDI], HOT * 2
        mov     dword [PT_A + 4 * 8], LIN_AT + 0x4000 | P_ALL
        ret

; ---- stores through a base that stays, into the loop ----
rewritten:
        mov     r12d, 3
.again: mov     rsi, [A_]
        mov     edi, .insn
        mov     r8d, SCRATCH
        sub     r8, rdi                 ; the usual index
        mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        mov     r9d, 2                  ; of the immediate
.loop:  mov     rbx, r8
        test    cl, 0x3f
        cmovz   rbx, r9
        xor     byte [rdi + rbx], 0x05
        mov     r11d, [rsi + rdx * 4]
.insn:  add     eax, 1                  ; 1 or 4
        inc     rdx
        dec     ecx
        jnz     .loop
        ; 44 rounds before the first change at 256, 64 each of 4, 1, 4, 1; the last is at 64
        EQ      eax, 44 + 64 * 4 + 64 + 64 * 4 + 64
        ; the instruction itself behind the store, of the same round, and by a huge index
        mov     rdi, LIN
        mov     ebx, .insn2 + 2
        sub     rbx, rdi
        mov     ecx, HOT
        xor     eax, eax
.loop2: mov     rdx, rcx
        and     edx, 7
        test    cl, 0x3f
        cmovz   rdx, rbx
        xor     byte [rdi + rdx], 0x05
.insn2: add     eax, 1
        dec     ecx
        jnz     .loop2
        EQ      eax, 44 + 64 * 4 + 64 + 64 * 4 + 64
        dec     r12d
        jnz     .again
        ret

; ---- straight code, back to where it has just been ----
; Words at the regions' starts: LOW 0x1000 + k, LIN 0x2000 + k, UPPER 0x3000 + k
words:  mov     rsi, LIN
        mov     rdi, UPPER
        mov     ebx, LOW
        xor     ecx, ecx
.next:  lea     eax, [rcx + 0x1000]
        mov     [rbx], rax
        add     eax, 0x1000
        mov     [rsi], rax
        add     eax, 0x1000
        mov     [rdi], rax
        add     rbx, 8
        add     rsi, 8
        add     rdi, 8
        inc     ecx
        cmp     ecx, 0x80
        jb      .next
        ret

; Two registers, the first in LIN, the other in LOW or UPPER (%3)
%macro RECENT 3
        mov     ebp, 40
%%loop: push    rbp
        call    words
        mov     %1, LIN
        mov     %2, %3
        jmp     short %%go
%%go:   ; a load, a store
        mov     rax, [%1 + 8]
        add     rax, 0x111
        mov     [%1 + 16], rax
        jmp     short %%1
        ; another in between
%%1:    mov     rax, [%1 + 24]
        mov     rdx, [%2 + 24]
        mov     [%1 + 32], rdx
        mov     [%2 + 32], rax
        jmp     short %%2
        ; it becomes the other, in every way
%%2:    mov     rax, [%1 + 40]
        mov     rbp, %1
        mov     %1, %2
        mov     [%1 + 48], rax
        mov     %1, rbp
        mov     [%1 + 48], rax
        jmp     short %%3
%%3:    mov     rax, [%1 + 56]
        xchg    %1, %2
        mov     [%1 + 64], rax
        xchg    %1, %2
        mov     [%1 + 72], rax
        jmp     short %%4
%%4:    mov     rax, [%1 + 80]
        push    %1
        push    %2
        pop     %1
        mov     [%1 + 88], rax
        pop     %1
        mov     [%1 + 96], rax
        jmp     short %%5
%%5:    mov     rax, [%1 + 104]
        push    rax
        add     qword [%1 + 112], 1
        pop     rdx
        mov     [%1 + 120], rdx
        push    qword [%1 + 112]
        pop     qword [%1 + 128]
        jmp     short %%6
        ; steps, small and large
%%6:    mov     rax, [%1 + 136]
        add     %1, 8
        mov     [%1 + 136], rax
        lea     %1, [%1 + 8]
        sub     %1, -8
        inc     qword [%1 + 136]
        mov     rdx, [%1 + 136 - 24]
        sub     %1, 24
        mov     [%1 + 168], rdx
        jmp     short %%7
%%7:    mov     rax, [%1 + 176]
        mov     rbp, %2
        sub     rbp, %1
        add     %1, rbp
        mov     [%1 + 184], rax
        sub     %1, rbp
        mov     [%1 + 192], rax
        jmp     short %%8
%%8:    sub     %1, 0x40000000          ; the region in front
        mov     rax, [%1 + 0x40000000 + 200]
        add     %1, 0x40000000
        mov     [%1 + 208], rax
        mov     rax, [%1 + 216]
        sub     %1, 0x40000000
        mov     [%1 + 0x40000000 + 224], rax
        add     %1, 0x40000000
        jmp     short %%9
        ; a register's memory gives it
%%9:    mov     [%1 + 232], %2
        mov     %1, [%1 + 232]
        mov     [%1 + 232], rax
        mov     %1, LIN
        mov     [%1 + 240], rax
        jmp     short %%10
        ; what needs scratch registers
%%10:   mov     rax, [%1 + 248]
        xadd    [%1 + 256], rax
        shld    rax, %2, 5
        mov     [%1 + 264], rax
        shl     qword [%1 + 272], cl
        cmpxchg [%1 + 280], %2
        bt      [%1 + 256], rax
        movups  xmm0, [%1 + 256]
        movups  [%1 + 288], xmm0
        mov     rdx, [%1 + 304]
        mul     qword [%1 + 312]
        mov     [%1 + 320], rax
        mov     [%1 + 328], rdx
        jmp     short %%11
        ; 16 bits and 8 of it
%%11:   mov     rax, [%1 + 336]
        movzx   ebp, byte [%1 + 337]
        push    %1
        pop     %1
        mov     [%1 + 344], rbp
%%end:  pop     rbp
        mov     r13, LIN
        mov     r12, %3
        EQ64    [r13 + 16], 0x2112
        EQ64    [r12 + 32], 0x2003
        EQ64    [r13 + 48], 0x2005
        EQ64    [r12 + 48], 0x2005
        EQ64    [r12 + 64], 0x2007
        EQ64    [r13 + 72], 0x2007
        EQ64    [r12 + 88], 0x200a
        EQ64    [r13 + 96], 0x200a
        EQ64    [r13 + 112], 0x200f
        EQ64    [r13 + 120], 0x200d
        EQ64    [r13 + 128], 0x200f
        EQ64    [r13 + 144], 0x2011
        EQ64    [r13 + 160], 0x2015
        EQ64    [r13 + 168], 0x2011
        EQ64    [r12 + 184], 0x2016
        EQ64    [r13 + 192], 0x2016
        EQ64    [r13 + 208], 0x2019
        EQ64    [r13 + 224], 0x201b
        EQ64    [r12 + 232], 0x201b
        EQ64    [r13 + 240], 0x201b
        EQ64    [r13 + 256], 0x201f + 0x2020
        EQ64    [r13 + 288], 0x201f + 0x2020
        EQ64    [r13 + 344], 0x20
        mov     rax, [r12 + 24]
        EQ64    rax, [r13 + 32]
        dec     ebp
        jnz     %%loop
%endmacro

recents:
        RECENT  rsi, rdi, UPPER
        RECENT  r8, r9, LOW
        RECENT  rbx, r10, LOW
        RECENT  r11, rsi, UPPER
        ; sums
        mov     ebp, 40
.sums:  call    words
        mov     rsi, LIN
        mov     rdi, UPPER - LIN
        xor     ebx, ebx
        mov     r8, rsi
        mov     r9d, 3
        jmp     short .s1
.s1:    mov     rax, [rsi + rbx * 8]
        mov     [rsi + rbx * 8 + 8], rax
        inc     rbx
        mov     rax, [rsi + rbx * 8 + 8]        ; word 2
        mov     [rsi + rbx * 8 + 16], rax
        mov     rbx, rdi
        mov     rdx, [rsi + rbx + 32]           ; UPPER's 4
        mov     [rsi + rbx + 40], rdx
        xor     ebx, ebx
        mov     [rsi + rbx + 48], rdx
        mov     rcx, rsi
        mov     rsi, LOW
        mov     [rsi + rbx + 56], rdx
        mov     rax, [rsi + rbx + 64]
        mov     rsi, rcx
        mov     [rsi + rbx + 72], rax
        jmp     short .s2
.s2:    mov     rax, [r8 + r9 * 8 + 80]         ; word 13
        mov     [r8 + r9 * 8 + 88], rax
        mov     [r8 + r9 * 4 + 92], rax         ; 13
        jmp     short .s3
.s3:    mov     r9, [r8 + r9 * 8 + 96]          ; word 15
        shr     r9, 12                          ; 2
        mov     [r8 + r9 * 8 + 104], r9         ; word 15
        push    rax
        mov     rax, [rsp + r9 * 4 - 8]
        pop     rdx
        cmp     rax, rdx
        jne     .bad
        mov     r12, LIN
        mov     r13, UPPER
        EQ64    [r12 + 8], 0x2000
        EQ64    [r12 + 24], 0x2002
        EQ64    [r13 + 40], 0x3004
        EQ64    [r12 + 48], 0x3004
        EQ64    [LOW + 56], 0x3004
        EQ64    [r12 + 72], 0x1008
        EQ64    [r12 + 112], 0x200d
        EQ64    [r12 + 104], 0x200d
        EQ64    [r12 + 120], 2
        dec     ebp
        jnz     .sums
        ret
.bad:   FAIL

; ---- tables at fixed addresses ----
TABLE   equ LOW
tables: mov     ebp, 40
.loop:  call    words
        mov     r8, LIN / 8
        mov     r14, -(TABLE / 8)
        mov     r9d, 0x1010
        jmp     short .t1
.t1:    movzx   eax, r9b
        mov     rcx, [rax * 8 + TABLE]          ; 0x10
        mov     [rax * 8 + TABLE + 8], rcx
        mov     rcx, [TABLE + 24]
        mov     edx, 5
        mov     [rdx * 8 + TABLE], rcx
        mov     r11d, 6
        mov     [r11 * 8 + TABLE], rcx
        jmp     short .t2
        ; not narrow
.t2:    mov     rcx, [TABLE + 32]
        mov     rdx, [r8 * 8 + 56]              ; LIN's 7
        mov     [TABLE + 40], rdx
        mov     rax, [r8 * 8 + 64]
        mov     [r8 * 8 + 72], rcx
        mov     [TABLE + 48], rax
        jmp     short .t3
        ; the displacement's region is not the sum's
.t3:    mov     eax, (TABLE + 0x1000) / 8
        mov     rcx, [rax * 8 - 0x1000 + 56]
        mov     [rax * 8 - 0x1000 + 64], rcx
        movsxd  rdx, r14d
        mov     rcx, [rdx * 8 + TABLE * 2 + 72]
        mov     [rdx * 8 + TABLE * 2 + 80], rcx
        mov     edi, TABLE / 2 + 0x7000000
        mov     rcx, [rdi * 2 - 0xe000000 + 88]
        mov     [rdi * 2 - 0xe000000 + 96], rcx
        jmp     short .t4
        ; the whole address space by a narrow number and none, bytes
.t4:    mov     eax, TABLE + 104
        movzx   ecx, byte [rax * 1 + 0]
        mov     [rax * 1 + 8], cl
        lea     esi, [rax - 8]
        mov     rcx, [nosplit rsi * 1 + 0]
        mov     [nosplit rsi * 1 + 16], rcx
        EQ64    [TABLE + 0x88], 0x1010
        EQ64    [TABLE + 40], 0x2007
        EQ64    [TABLE + 48], 0x2008
        mov     rsi, LIN
        EQ64    [rsi + 72], 0x1004
        EQ64    [TABLE + 64], 0x1007
        EQ64    [TABLE + 80], 0x1009
        EQ64    [TABLE + 96], 0x100b
        movzx   eax, byte [TABLE + 112]
        EQ      eax, 0x0b                       ; 0x100b is there by now
        dec     ebp
        jnz     .loop
        ret
