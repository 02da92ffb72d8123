; tests/guests/long_winding.asm -- loops whose usual way is not straight: backward inside, into the next
; page and back, one way and another by turns. A translator may make one piece of it: faults, stores,
; other mappings and interrupts must be what they are without.
; [SDM 3A 4.10.4 "Invalidation of TLBs and Paging-Structure Caches", 6.5, 8.1.3]
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "long.inc"

HOT     equ 600
HOLE    equ 0x200000
FRAME   equ 0x240000
VEC     equ 0x43
TURN    equ vars64              ; address of what a loop calls now and then
KIND    equ vars64 + 8
FAULTS_ equ vars64 + 16
KEEP_SP equ vars64 + 24

main64: SET_GATE64 VEC, CODE64, LINEAR(interrupt), A_INT32, 0
        MAP64   HOLE, 0, 0
        call    all_levels
        USER
        call    all_levels
        SUPERVISOR
        call    second_page
        call    user_page
        call    interrupted
        RESET_GATE64 VEC
        ret

all_levels:
        call    backward
        call    middle
        call    inner
        call    by_turns
        call    fault_backward
        call    rewritten_backward
        call    straddling
        call    rewritten_next
        call    next_and_back
        call    ends_before
        ret

; ---- the way through goes backward, to what is still behind the head ----
; head -> c -> b -> a -> end, with flags from each to the next
backward:
        mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        mov     r8, 0x8000000000000000
        mov     r9d, 1
        xor     r10d, r10d
        xor     r11d, r11d
        jmp     .head
        align   16
.head:  add     r8, r8                  ; CF by turns of what goes round
        jmp     .c
.a:     adc     r10, 3
        push    r10
        cmp     r10, r11
        jmp     .end
.b:     rcl     r9, 1
        jmp     .a
.c:     adc     r8, 0
        lea     r11, [r11 + r10 + 1]
        bt      r11, 3
        jmp     .b
.end:   pop     rbx
        setc    dl
        add     rax, rdx
        add     rax, rbx
        dec     ecx
        jnz     .head
        mov     [vars64 + 64], rax
        mov     [vars64 + 72], r8
        mov     [vars64 + 80], r9
        mov     [vars64 + 88], r10
        mov     [vars64 + 96], r11
        ; the same straight
        mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        mov     r8, 0x8000000000000000
        mov     r9d, 1
        xor     r10d, r10d
        xor     r11d, r11d
.s:     add     r8, r8
        adc     r8, 0
        lea     r11, [r11 + r10 + 1]
        bt      r11, 3
        rcl     r9, 1
        adc     r10, 3
        cmp     r10, r11
        setc    dl
        add     rax, rdx
        add     rax, r10
        dec     ecx
        jnz     .s
        EQ64    rax, [vars64 + 64]
        EQ64    r8, [vars64 + 72]
        EQ64    r9, [vars64 + 80]
        EQ64    r10, [vars64 + 88]
        EQ64    r11, [vars64 + 96]
        ret

; ---- what is in the middle is come to from elsewhere, too ----
middle: mov     r12d, 8
.again: mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        xor     r8d, r8d
        test    r12d, 1
        jz      .b                      ; by turns
.head:  inc     eax
        test    ecx, 0x3f
        jz      .c                      ; seldom past B
        jmp     .d
.b:     inc     edx
        add     r8, rcx
        jmp     .c
.d:     add     r8, 2
        jmp     .b
.c:     sub     r8, 1
        dec     ecx
        jnz     .head
        ; 9 multiples of 64 are not for B
        mov     r9d, HOT
        mov     r10d, HOT - 1
        test    r12d, 1
        cmovz   r9, r10
        EQ64    rax, r9
        EQ      edx, HOT - 9
        mov     r9d, HOT * (HOT + 1) / 2 - 64 * 45 - HOT + (HOT - 9) * 2
        lea     r10, [r9 - 2]
        test    r12d, 1
        cmovz   r9, r10
        EQ64    r8, r9
        dec     r12d
        jnz     .again
        ret

; ---- a loop inside, which goes round never, once, twice, often, and as often as it likes ----
%macro INNER 2                  ; rounds of the inner loop (to R9), the sum of all
        mov     ecx, HOT
        xor     eax, eax
        xor     r8d, r8d
        jmp     near %%head
        align   16
%%more: inc     eax                     ; in front of the test, behind the head
        lea     r8, [r8 + r9]
        dec     r9d
        jmp     %%test
%%head: %1
        add     r8, 1
%%test: test    r9d, r9d
        jnz     %%more
        sub     r8, 1
        dec     ecx
        jnz     %%head
        EQ      eax, %2
        ; and the test at the end
        mov     ecx, HOT
        xor     eax, eax
        jmp     %%head2
        align   16
%%head2:
        %1
%%more2:
        test    r9d, r9d
        jz      %%out2
        inc     eax
        dec     r9d
        jnz     %%more2
%%out2: dec     ecx
        jnz     %%head2
        EQ      eax, %2
%endmacro
%macro ROUNDS 1
        mov     r9d, %1
%endmacro
%macro ROUNDS_AND 1
        mov     r9d, ecx
        and     r9d, %1
%endmacro
inner:  INNER   ROUNDS 0, 0
        INNER   ROUNDS 1, HOT
        INNER   ROUNDS 2, HOT * 2
        INNER   ROUNDS 3, HOT * 3
        INNER   ROUNDS 40, HOT * 40
        INNER   ROUNDS_AND 1, HOT / 2
        INNER   ROUNDS_AND 2, HOT / 2 * 2
        INNER   ROUNDS_AND 3, HOT / 4 * 6
        INNER   ROUNDS_AND 0x40, 281 * 64
        ret

; ---- ways by turns of 2, 3 and 5, and of all at once ----
by_turns:
        mov     r12d, 3
.again: mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        xor     r8d, r8d
.two:   test    cl, 1
        jz      .two_on
        add     eax, 3
        bt      ecx, 1
        adc     rdx, rax
.two_on:
        lea     r8, [r8 + 5]
        dec     ecx
        jnz     .two
        EQ      eax, HOT / 2 * 3
        EQ      r8d, HOT * 5
        ; EDX: 3 * (1 + ... + 300), and CF where ECX is 3 mod 4
        EQ      edx, 3 * 300 * 301 / 2 + 150

        mov     ecx, HOT
        mov     r9d, 3
        mov     r10d, 5
        xor     eax, eax
        xor     edx, edx
        xor     r8d, r8d
.head:  dec     r9d
        jz      .third
        inc     eax
.five:  dec     r10d
        jnz     .no_fifth
        mov     r10d, 5
        add     edx, eax
.no_fifth:
        test    cl, 1
        jnz     .end
        add     r8, rax
        jmp     .end
.third: mov     r9d, 3
        add     r8, 7
        jmp     .five
.end:   dec     ecx
        jnz     .head
        EQ      eax, HOT / 3 * 2
        mov     [vars64 + 64], edx
        mov     [vars64 + 72], r8
        ; the same from numbers
        xor     r13d, r13d
        xor     r14d, r14d
        mov     r11d, 1
.check: mov     eax, r11d               ; round, from 1
        xor     edx, edx
        mov     ebx, 3
        div     ebx
        mov     esi, r11d
        sub     esi, eax                ; EAX of above
        cmp     edx, 0
        jne     .not_third
        add     r14, 7
.not_third:
        mov     eax, r11d
        xor     edx, edx
        mov     ebx, 5
        div     ebx
        cmp     edx, 0
        jne     .not_fifth
        add     r13d, esi
.not_fifth:
        test    r11d, 1                 ; ECX is odd where the round is even
        jz      .odd
        add     r14, rsi
.odd:   inc     r11d
        cmp     r11d, HOT
        jbe     .check
        EQ      [vars64 + 64], r13d
        EQ64    [vars64 + 72], r14
        dec     r12d
        jnz     .again
        ret

; ---- faults where the way has gone backward ----
fault_backward:
        mov     qword [lx_hook], .hook
        mov     dword [FAULTS_], 0
        mov     dword [DATA + 0x20], 5
        mov     dword [DATA + 0x24], 0
        mov     qword [DATA + 0x28], 7
        mov     ecx, HOT
        mov     edi, DATA
        mov     esi, DATA
        xor     eax, eax
        xor     r8d, r8d
        xor     r13d, r13d
        mov     r14d, 1
        xor     ebp, ebp
        jmp     .head
        align   16
.head:  test    cl, 0x3f
        jz      .to_hole
.come:  inc     eax
        jmp     .c
.b:     inc     r13d
        push    r13
        stc
.at:    adc     r8, [rdi + 0x20]
        pop     r13
        jmp     .d
.c:     lea     ebp, [rbp + 2]
        jmp     .b
.to_hole:
        test    cl, 0x40
        mov     edx, HOLE
        cmovz   rdi, rdx
        cmovnz  rsi, rdx
        jmp     .come
.d:     lea     r14, [r14 + 3]
        mov     r9d, 11
.at2:   add     [rsi + 0x28], r9
        jc      .bad
        dec     ecx
        jnz     .head
        mov     qword [lx_hook], 0
        EQ      [FAULTS_], 9
        EQ      eax, HOT
        EQ      r13d, HOT
        EQ      ebp, HOT * 2
        EQ64    r8, HOT * (5 + 1)
        EQ64    r14, 1 + HOT * 3
        EQ64    [DATA + 0x28], 7 + HOT * 11
        ret
.bad:   FAIL
.hook:  EQ      [lx_vector], PF
        inc     dword [FAULTS_]
        mov     rax, [rbp + L_RAX]      ; rounds, this one included
        lea     rdx, [rax + rax]
        EQ64    [rbp + L_RBP], rdx
        EQ64    [rbp + L_R13], rax
        mov     edx, HOT + 1
        sub     edx, eax
        EQ64    [rbp + L_RCX], rdx
        lea     rdx, [rax + rax * 2 + 1]
        cmp     qword [lx_rip], .at2
        je      .hook2
        EQ64    [lx_rip], .at
        EQ64    [lx_cr2], HOLE + 0x20
        BITS_EQ [lx_error], PF_P | PF_W, 0
        BITS_EQ [lx_rflags], F_CF, F_CF
        sub     rdx, 3
        EQ64    [rbp + L_R14], rdx
        mov     qword [rbp + L_RDI], DATA
        ret
.hook2: EQ64    [lx_cr2], HOLE + 0x28
        BITS_EQ [lx_error], PF_P | PF_W, PF_W
        EQ64    [rbp + L_R14], rdx
        lea     rdx, [rax + rax * 2]
        add     rdx, rdx
        EQ64    [rbp + L_R8], rdx
        mov     qword [rbp + L_RSI], DATA
        ret

; ---- stores into what is behind, and what comes, of the same round ----
rewritten_backward:
        mov     r12d, 3
.again: mov     ecx, HOT
        xor     eax, eax
        xor     edx, edx
        xor     r8d, r8d
        jmp     .head
        align   16
.head:  test    cl, 0x3f
        jnz     .c
        xor     byte [.b + 2], 0x28     ; ADD <-> SUB: further on
        jmp     .c
.b:     add     r8, 3
        jmp     .d
.c:     test    ecx, ecx
.c_op:  add     eax, 2
        jmp     .b
.d:     test    cl, 0x3f
        jnz     .e
        xor     byte [.c_op + 1], 0x28  ; has been this time
.e:     dec     ecx
        jnz     .head
        xor     byte [.b + 2], 0x28
        xor     byte [.c_op + 1], 0x28
        EQ64    r8, 3 * (280 - 320)
        EQ      eax, 2 * (281 - 319)
        dec     r12d
        jnz     .again
        ret

; ---- an instruction that lies over the page's end, and is rewritten ----
%macro STRADDLE 1               ; bytes of it in the first page
        jmp     near %%start
        align   4096
        times   4096 - (%1) - 19 nop
%%head: test    cl, 0x3f                ; 3 bytes
        jz      near %%other            ; 6
%%on:   inc     edx                     ; 2
        lea     r9, [r9 + 2]            ; 4
        nop                             ; 4: up to here
        nop
        nop
        nop
%%insn: add     r8, 0x01020304
        dec     ecx
        jnz     near %%head
        xor     dword [%%insn + 3], 0x05060708
        EQ      edx, HOT
        EQ      r9d, HOT * 2
        EQ64    r8, 280 * 0x01020304 + 320 * (0x01020304 ^ 0x05060708)
        jmp     near %%end
%%other:
        xor     dword [%%insn + 3], 0x05060708
        jmp     near %%on
%%start:
        mov     ecx, HOT
        xor     edx, edx
        xor     r8d, r8d
        xor     r9d, r9d
        jmp     near %%head
%%end:
%endmacro
straddling:
        STRADDLE 1
        STRADDLE 3
        STRADDLE 4
        STRADDLE 6
        ret

; ---- code of the next page rewritten from the first, of the first from the next, and by a callee ----
rewritten_next:
        mov     dword [KIND], 3
.kind:  mov     ecx, HOT
        xor     edx, edx
        xor     r8d, r8d
        xor     r9d, r9d
        jmp     rewritten_head
.end:   xor     byte [rewritten_first + 2], 0x28
        xor     byte [rewritten_second + 2], 0x28
        EQ      edx, HOT
        ; kind 3: both by a callee in the first page; 2: from the first; 1: from the next, so that
        ; what is in the first changes one round later
        EQ64    r9, 280 - 320
        mov     rax, 280 - 320
        mov     ebx, 281 - 319
        cmp     dword [KIND], 1
        cmove   eax, ebx
        EQ      r8d, eax
        dec     dword [KIND]
        jnz     .kind
        ret
rewritten_both:
        xor     byte [rewritten_first + 2], 0x28
        xor     byte [rewritten_second + 2], 0x28
        ret
        align   4096
        times   4096 - 0x60 nop
rewritten_head:
        inc     edx
        test    cl, 0x3f
        jnz     .on
        cmp     dword [KIND], 2
        ja      .callee
        jb      .on
        xor     byte [rewritten_first + 2], 0x28
        xor     byte [rewritten_second + 2], 0x28
        jmp     .on
.callee:
        call    rewritten_both
.on:    jmp     .on2
        ud2
.on2:
rewritten_first:
        add     r8d, strict dword 1
        jmp     rewritten_jump
        times   0x60 - ($ - rewritten_head) nop
rewritten_jump:
        test    cl, 0x3f
        jnz     .on
        cmp     dword [KIND], 1
        jne     .on
        xor     byte [rewritten_first + 2], 0x28
        xor     byte [rewritten_second + 2], 0x28
        jmp     .on
        ud2
.on:    jmp     rewritten_second
        ud2
rewritten_second:
        add     r9, 1
        dec     ecx
        jnz     near rewritten_head
        jmp     near rewritten_next.end

; ---- to the next page and back, more than once, and faults there ----
next_and_back:
        mov     qword [lx_hook], .hook
        mov     dword [FAULTS_], 0
        mov     dword [DATA + 0x20], 5
        mov     dword [DATA + 0x24], 0
        mov     ecx, HOT
        mov     edi, DATA
        mov     esi, DATA
        xor     eax, eax
        xor     edx, edx
        xor     ebx, ebx
        xor     r8d, r8d
        xor     r13d, r13d
        jmp     there_head
.end:   mov     qword [lx_hook], 0
        EQ      [FAULTS_], 9
        EQ      eax, HOT
        EQ      edx, HOT
        EQ      ebx, HOT / 2
        EQ64    r13, HOT
        EQ64    r8, HOT * (5 + 1)
        ret
.hook:  EQ      [lx_vector], PF
        inc     dword [FAULTS_]
        EQ64    [lx_cr2], HOLE + 0x20
        EQ64    [lx_rip], there_at
        BITS_EQ [lx_rflags], F_CF, F_CF
        mov     edx, [rbp + L_RAX]
        EQ64    [rbp + L_RDX], rdx
        dec     edx
        EQ64    [rbp + L_R13], rdx
        mov     qword [rbp + L_RDI], DATA
        ret
        align   4096
        times   4096 - 0x40 nop
there_head:
        inc     eax
        jmp     near there_1
there_2:
        jmp     .on
        ud2
.on:    jmp     near there_3
        times   0x40 - ($ - there_head) nop
there_3:
        stc
there_at:
        adc     r8, [rdi + 0x20]
        inc     r13d
        test    cl, 1
        jz      .even
        inc     ebx
.even:  dec     ecx
        jnz     near there_head
        jmp     near next_and_back.end
there_1:
        inc     edx
        test    cl, 0x3f
        jnz     .on
        mov     edi, HOLE
.on:    jmp     near there_2

; ---- a way into the next page, of which a translator may make only what is before that, as JRCXZ is
; no common jump; and there a constant that is rewritten all the time ----
ends_before:
        mov     r12d, 2
.again: mov     edx, 2000
        xor     r8d, r8d
        mov     ecx, 1
        mov     dword [ends_imm + 1], 1000
        call    ends_head
        ; 1000 .. 1499, each four times
        EQ64    r8, 4 * (500 * 1000 + 499 * 500 / 2) + 4 * 500
        dec     r12d
        jnz     .again
        ret
        align   4096
        times   4096 - 0x40 nop
ends_head:
        test    dl, 3
        jz      near ends_rewrite
ends_imm:
        mov     eax, strict dword 1000
        add     r8, rax
        jrcxz   .no
        jmp     near ends_next
.no:    ud2
        times   0x40 - ($ - ends_head) nop
ends_next:
        dec     edx
        jnz     near ends_head
        ret
ends_rewrite:
        inc     dword [ends_imm + 1]
        jmp     near ends_imm

; ---- the next page becomes another one ----
; R12: 1 where the frame is the other one, in which ADD R8 is ADD R9, and what the instruction over the
; pages' border adds is 0x10000 more.
PAGE_2  equ (LINEAR(second_add) & ~0xfff)
SECOND_PT equ FREE_TABLES + 0x3000
second_page:
        cld
        call    make_frame
        mov     byte [FRAME + LINEAR(second_add) - PAGE_2 + 2], 0xc1
        xor     byte [FRAME], 1                 ; of the instruction's constant
        SET_ENTRY FREE_TABLES, FREE_TABLES + 0x1000 | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x1000, FREE_TABLES + 0x2000 | P_ALL, 0
        mov     esi, PD
        mov     edi, FREE_TABLES + 0x2000
        mov     ecx, 8
        rep     movsq
        SET_ENTRY FREE_TABLES + 0x2000, SECOND_PT | P_ALL, 0
        mov     esi, PT
        mov     edi, SECOND_PT
        mov     ecx, 512
        rep     movsq
        SET_ENTRY SECOND_PT + (PAGE_2 >> 12) * 8, FRAME | P_ALL, 0
        mov     dword [KIND], 5
.kind:  xor     r12d, r12d
        mov     eax, [KIND]
        mov     rax, [turns - 8 + rax * 8]
        mov     [TURN], rax
        mov     ecx, 1000
        xor     r8d, r8d
        xor     r9d, r9d
        xor     r10d, r10d
        xor     r11d, r11d
        call    second_head
        mov     dword [PTE64(PAGE_2)], PAGE_2 | P_ALL
        FLUSH64
        mov     eax, PML4
        mov     cr3, rax
        EQ64    r8, 1000 - 512
        EQ64    r9, 512
        EQ64    r10, 1000 * 0x02000102 + 512 * 0x10000
        EQ64    r11, 1000
        dec     dword [KIND]
        jnz     .kind
        ret
make_frame:
        mov     esi, PAGE_2
        mov     edi, FRAME
        mov     ecx, 4096 / 8
        rep     movsq
        ret

turns:  dq      .invlpg, .flush, .space, .not_there, .callee
; ZF: the first frame from now on; EAX = its entry
.which: xor     r12d, 1
        mov     eax, PAGE_2 | P_ALL
        jz      .which_end
        mov     eax, FRAME | P_ALL
.which_end:
        ret
.invlpg:
        call    .which
        mov     [PTE64(PAGE_2)], eax
        invlpg  [PAGE_2]
        ret
.flush: call    .which
        mov     [PTE64(PAGE_2)], eax
        FLUSH64
        ret
.space: call    .which
        mov     eax, PML4
        jz      .space_set
        mov     eax, FREE_TABLES
.space_set:
        mov     cr3, rax
        ret
.not_there:
        mov     dword [PTE64(PAGE_2)], 0
        invlpg  [PAGE_2]
        mov     qword [lx_hook], .hook
        ret
.hook:  mov     qword [lx_hook], 0
        EQ      [lx_vector], PF
        EQ      [lx_error], PF_I
        EQ64    [lx_cr2], PAGE_2
        EQ64    [lx_rip], second_over
        mov     r12, [rbp + L_R12]
        call    .which
        mov     [rbp + L_R12], r12
        mov     [PTE64(PAGE_2)], eax
        ret
.callee:
        call    .invlpg
        ret

        align   4096
        times   4096 - 0x40 nop
second_head:
        inc     r11d
        test    cl, 0x3f
        jnz     .on
        call    [TURN]
.on:    jmp     .on2
        ud2
.on2:   times   0x40 - 5 - ($ - second_head) nop
second_over:                            ; 5 bytes and 2
        add     r10, 0x02000102
        jmp     .on
        ud2
.on:
second_add:
        add     r8, 1
        dec     ecx
        jnz     near second_head
        ret
        align   4096

; ---- the user may not run the next page any more ----
user_page:
        SET_GATE64 V_TURN, CODE64, LINEAR(.turn), A_INT32 | DPL3, 0
        mov     qword [TURN], .nothing
        mov     dword [KIND], 3
.kind:  mov     dword [FAULTS_], 0
        mov     qword [lx_hook], .hook
        USER
        mov     ecx, 1000
        xor     r8d, r8d
        xor     r10d, r10d
        xor     r11d, r11d
        call    user_head
        SUPERVISOR
        mov     qword [lx_hook], 0
        EQ      [FAULTS_], 15
        EQ64    r8, 1000
        EQ64    r10, 1000 * 0x02000102
        EQ64    r11, 1000
        dec     dword [KIND]
        jnz     .kind
        RESET_GATE64 V_TURN
.nothing:
        ret
V_TURN  equ 0x44
USER_PAGE equ (LINEAR(user_add) & ~0xfff)
; From the user: the page is taken away, is the supervisor's, holds no code.
.turn:  push    rax
        mov     eax, [KIND]
        mov     eax, [.entries - 4 + rax * 4]
        mov     [PTE64(USER_PAGE)], eax
        cmp     dword [KIND], 3
        jne     .not_nx
        mov     dword [PTE64(USER_PAGE) + 4], NX
.not_nx:
        invlpg  [USER_PAGE]
        pop     rax
        iretq
.entries:
        dd      0, USER_PAGE | P_P | P_W, USER_PAGE | P_ALL
.errors:
        dd      PF_U | PF_I, PF_U | PF_I | PF_P, PF_U | PF_I | PF_P
.hook:  EQ      [lx_vector], PF
        inc     dword [FAULTS_]
        mov     eax, [KIND]
        mov     eax, [.errors - 4 + rax * 4]
        EQ      [lx_error], eax
        EQ64    [lx_cr2], USER_PAGE
        EQ64    [lx_rip], user_over
        BITS_EQ [lx_rflags], F_CF, F_CF
        mov     dword [PTE64(USER_PAGE) + 4], 0
        mov     dword [PTE64(USER_PAGE)], USER_PAGE | P_ALL
        ret
        align   4096
        times   4096 - 0x40 nop
user_head:
        inc     r11d
        test    cl, 0x3f
        jnz     .on
        int     V_TURN
.on:    jmp     .on2
        ud2
.on2:   times   0x40 - 6 - ($ - user_head) nop
        stc
user_over:                              ; 5 bytes and 2
        lea     r10, [r10 + 0x02000102]
        jnc     .bad
        jmp     .on
.bad:   ud2
.on:
user_add:
        add     r8, 1
        dec     ecx
        jnz     near user_head
        ret
        align   4096

; ---- loops that only an interrupt ends ----
interrupted:
        cld
        mov     esi, IRQ_PAGE
        mov     edi, FRAME
        mov     ecx, 4096 / 8
        rep     movsq
        mov     word [FRAME + LINEAR(irq_there) - IRQ_PAGE], JUMP_2
        SET_GATE64 PF, CODE64, LINEAR(.fault), A_INT32, 0       ; not to the log
        mov     dword [KIND], 6
.next:  mov     [KEEP_SP], rsp
        xor     r8d, r8d
        xor     r9d, r9d
        xor     r10d, r10d
        mov     dx, 0xf5
        mov     eax, VEC | (300 << 8)
        out     dx, eax
        sti
        jmp     near irq_head
.out:   cli
        EQ64    r8, r9
        EQ64    r8, r10
        EQ64    rsp, [KEEP_SP]
        mov     dword [PTE64(IRQ_PAGE)], IRQ_PAGE | P_ALL
        FLUSH64
        mov     word [irq_here], NOP_2
        mov     word [irq_there], NOP_2
        dec     dword [KIND]
        jnz     .next
        RESET_GATE64 PF
        xor     r8d, r8d                ; what an interrupt's time has made stays out of the log
        xor     r9d, r9d
        xor     r10d, r10d
        ret
.fault: mov     dword [PTE64(IRQ_PAGE)], FRAME | P_ALL
        add     rsp, 8
        iretq

NOP_2   equ 0x9066
JUMP_2  equ 0x02eb                      ; over two bytes
IRQ_PAGE equ (LINEAR(irq_there) & ~0xfff)
interrupt:
        push    rax
        mov     eax, [KIND]
        call    [.kinds - 8 + rax * 8]
        pop     rax
        and     dword [rsp + 16], ~F_IF
        iretq
.kinds: dq      .here, .there, .invlpg, .flush, .not_there, .both
.both:  mov     word [irq_there], JUMP_2
.here:  mov     word [irq_here], JUMP_2
        ret
.there: mov     word [irq_there], JUMP_2
        ret
.invlpg:
        mov     dword [PTE64(IRQ_PAGE)], FRAME | P_ALL
        invlpg  [IRQ_PAGE]
        ret
.flush: mov     dword [PTE64(IRQ_PAGE)], FRAME | P_ALL
        FLUSH64
        ret
.not_there:
        mov     dword [PTE64(IRQ_PAGE)], 0
        invlpg  [IRQ_PAGE]
        ret
        align   4096
        times   4096 - 0x40 nop
irq_head:
        inc     r8
        jmp     near irq_next
irq_back:
        inc     r10
irq_here:
        dw      NOP_2                   ; becomes a jump over the one behind it
        jmp     short irq_head
        jmp     near interrupted.out
        times   0x40 - ($ - irq_head) nop
irq_next:
        inc     r9
        jmp     short irq_there
        ud2
irq_there:
        dw      NOP_2
        jmp     short .on
        inc     r10
        jmp     near interrupted.out
.on:    jmp     near irq_back
        align   4096
