; tests/guests/returns.asm -- near calls and returns in 32-bit code, paired and not; see
; long_returns.asm.  Here too: 16-bit operand size; return addresses in the upper half and at the end
; of the 4 GiB; CS with a limit; tasks of the size that 32-bit programs do with their stacks.
; [SDM 2A "CALL", 2B "RET"], [SDM 3A 8.1.3, 4.10.4, 6.6]
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "common.inc"
%include "paging.inc"

VEC     equ 0x43
DEPTH   equ 20000
STACK   equ 0xf00000            ; without paging
STACK_PAGED equ 0x3fe000
LIN     equ 0x3ff000            ; a page that is PAGE1 or PAGE2
PAGE1   equ 0x222000
PAGE2   equ 0x223000
HIGH_TABLE equ 0x102000         ; page table of the last 4 MiB, and of those at 2 GiB
HALF_TABLE equ 0x103000
HALF_PAGE equ 0x224000          ; at 0x7ffff000; 0x80000000 is HALF_PAGE + 0x1000
LAST_PAGE equ 0x226000          ; at 0xfffff000; 0 is page 0
LIMITED equ FREE                ; code segment with a limit
saved   equ vars
twice   equ vars + 8
goal    equ vars + 4

main:   SET_GATE VEC, CODE32, interrupt, A_INT32
        mov     dword [loops], 2
.loop:  call    unpaired
        call    forms
        call    small_operands
        call    rewritten
        call    single_steps
        call    limited
        call    paging_on
        call    deep_paged
        call    remapped
        call    high
        call    levels
        call    paging_off
        dec     dword [loops]
        jnz     .loop
        call    deep
        call    interrupted
        RESET_GATE VEC
        ret
loops:  dd      0

; ---- deeper than any stack of predictions ----
%macro DEEP 1
        mov     edi, DEPTH
        xor     eax, eax
        call    %1
        EQ      eax, DEPTH
%endmacro
deep:
        mov     [saved], esp
        mov     esp, STACK
        mov     edx, .indirect
        mov     dword [goal], .memory
        mov     ebp, 3
.again: DEEP    .direct
        DEEP    .indirect
        DEEP    .memory
        DEEP    .handlers
        DEEP    .pushes
        dec     ebp
        jnz     .again
        mov     esp, [saved]
        ret
.direct:
        sub     edi, 1
        jz      .end
        call    .direct
.end:   inc     eax
        ret
.indirect:
        sub     edi, 1
        jz      .end
        call    edx
        inc     eax
        ret
.memory:
        sub     edi, 1
        jz      .end
        call    [goal]
        inc     eax
        call    .leaf
        ret
.leaf:  ret
.handlers:
        sub     edi, 1
        jz      .end
        sldt    ebx
        call    .handlers
        sldt    ebx
        inc     eax
        ret
.pushes:                                ; with an argument that the callee takes off
        sub     edi, 1
        jz      .last
        push    edi
        call    .pushes_more
.last:  add     eax, 1
        ret
.pushes_more:
        call    .pushes
        ret     4

; ---- calls without returns, returns without calls ----
unpaired:
        mov     [saved], esp
        mov     ebp, 300
.jump:  mov     esi, esp
        mov     edi, 50
        call    .down
.down:  dec     edi
        jnz     .deeper
        mov     esp, esi
        jmp     .out
.deeper:
        call    .down
        FAIL
.out:   dec     ebp
        jnz     .jump
        EQ      esp, [saved]
        mov     ebp, 2000
.ret:   push    dword .ret_back
        ret
        FAIL
.ret_back:
        dec     ebp
        jnz     .ret
        mov     ebp, 50
        mov     edx, .goal
.poline:
        call    .set
.caught:
        pause
        jmp     .caught
.set:   mov     [esp], edx
        ret
.goal:  dec     ebp
        jnz     .poline
        mov     ebp, 50
        xor     ebx, ebx
.skip:  call    .outer
        inc     ebx
        call    .further
        ud2
        inc     ebx
        dec     ebp
        jnz     .skip
        EQ      ebx, 100
        mov     ebp, 20
.here:  call    .pop
.pop:   pop     edx
        EQ      edx, .pop
        dec     ebp
        jnz     .here
        EQ      esp, [saved]
        ret
.outer: call    .inner
        FAIL
.inner: add     esp, 4
        ret
.further:
        add     dword [esp], 2
        ret

; ---- forms ----
forms:
        mov     [saved], esp
        mov     ebp, 20
        mov     edx, .plain
        mov     [goal], edx
.next:  push    dword 1
        push    dword 2
        call    .pops8
        EQ      esp, [saved]
        call    [goal]
        call    edx
        push    dword 3
        call    .tail
        EQ      esp, [saved]
        call    .far
        push    cs
        call    .retf
        EQ      esp, [saved]
        call    CODE32:.retf
        dec     ebp
        jnz     .next
        ret
.pops8: EQ      [esp + 4], 2
        ret     8
.plain: ret
.tail:  jmp     .pops4
.pops4: ret     4
.far:   push    cs
        push    dword .same
        retf
.same:  ret
.retf:  retf

; ---- 16-bit operand size ----
small_operands:
        mov     [saved], esp
        mov     ebp, 20
        xor     ebx, ebx
.next:  call    word .words
        add     ebx, 1
        EQ      esp, [saved]
        mov     eax, .words
        call    ax
        add     ebx, 1
        EQ      esp, [saved]
        ; pushed as one, popped as the other
        call    word .words_as_dword
        FAIL
.wide:  EQ      esp, [saved]
        call    .dword_as_word
        add     ebx, 1
        add     esp, 2
        EQ      esp, [saved]
        push    dword 0x11112222
        call    word .words_pop4
        EQ      esp, [saved]
        dec     ebp
        jnz     .next
        EQ      ebx, 60
        ret
.words: o16 ret
.words_pop4:
        o16 ret 4
.words_as_dword:
        pop     ax
        push    dword .wide
        ret
.dword_as_word:
        mov     word [esp + 2], 0x1234
        o16 ret

; ---- the callee writes on its caller ----
rewritten:
        xor     ebx, ebx
        mov     ebp, 20
.next:  call    .writes
.site:  add     ebx, byte 0
        dec     ebp
        jnz     .next
        EQ      ebx, 210
        xor     ebx, ebx
        mov     ebp, 20
.next2: mov     byte [.call], 0xe8
.call:  call    .hides
        inc     ebx
        dec     ebp
        jnz     .next2
        EQ      ebx, 20
        mov     byte [.call], 0xe8
        ; the page of all of it is written to between calls of what is hot
        xor     ebx, ebx
        mov     ebp, 200
        mov     byte [.site4 + 2], 1
.next4: call    .sometimes
.site4: add     ebx, byte 1
        dec     ebp
        jnz     .next4
        EQ      ebx, 100 + 100 * 2
        ret
.writes:
        mov     eax, ebp
        mov     [.site + 2], al
        ret
.hides: mov     byte [.call], 0x90
        ret
.sometimes:
        cmp     ebp, 100
        jne     .not
        mov     byte [.site4 + 2], 2
.not:   ret

; ---- TF set by a callee ----
single_steps:
        mov     ebp, 12
.next:  mov     dword [ex_count], 0
        mov     dword [ex_hook], .hook
        call    .steps
.site:  mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], DB_
        EQ      [ex_eip], .site
        dec     ebp
        jnz     .next
        ret
.steps: pushfd
        or      dword [esp], F_TF
        popfd
        ret
.hook:  and     dword [ebp + FR_EFLAGS], ~F_TF
        ret

; ---- CS with a limit: the target beyond it faults in the RET ----
limited:
        SET_DESC LIMITED, 0, 0x2ffff, A_CODE, D_32
        mov     ebp, 12
.next:  call    LIMITED:.inside
        dec     ebp
        jnz     .next
        ret
.inside:
        call    .leaf
        mov     esi, esp
        push    dword 0x30000
        FAULTS  GP, 0, ret
        add     esp, 4
        EQ      esp, esi
        call    .replaces
        retf
.replaces:
        pop     ecx
        push    dword 0x30000
        FAULTS  GP, 0, ret 8
        mov     [esp], ecx
.leaf:  ret

; ---- the caller's page is another one ----
deep_paged:
        mov     [saved], esp
        mov     esp, STACK_PAGED
        mov     ebp, 2
.again: DEEP    deep.direct
        dec     ebp
        jnz     .again
        mov     esp, [saved]
        ret

%macro REMAPPED 2
        xor     ebx, ebx
        mov     ebp, 24
%%next: mov     edi, LIN + 0x40
        mov     edx, %1
        call    edi
        add     ebx, eax
        dec     ebp
        jnz     %%next
        EQ      ebx, %2
%endmacro
remapped:
        mov     edi, PAGE1 + 0x40
        call    .make
        mov     byte [PAGE1 + 0x43], 1
        mov     edi, PAGE2 + 0x40
        call    .make
        mov     byte [PAGE2 + 0x43], 2
        MAP     LIN, PAGE1 | P_P | P_W | P_U
        REMAPPED .leaf, 24
        REMAPPED .by_page, 12 * 2 + 12
        REMAPPED .leaf, 24
        REMAPPED .by_cr3, 12 * 2 + 12
        REMAPPED .by_paging, 24
        ret
.make:  mov     dword [edi - 1], 0xb8d2ff90     ; CALL EDX; MOV EAX, n; RET
        mov     dword [edi + 3], 0
        mov     byte [edi + 7], 0xc3
.leaf:  ret
.by_page:
        xor     dword [PTE(LIN)], PAGE1 ^ PAGE2
        mov     eax, LIN
        invlpg  [eax]
        ret
.by_cr3:
        xor     dword [PTE(LIN)], PAGE1 ^ PAGE2
        FLUSH
        ret
.by_paging:
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        call    .leaf
        or      eax, CR0_PG
        mov     cr0, eax
        ret

; ---- return addresses in the upper half, at its start, and around the end ----
high:
        mov     edi, HIGH_TABLE
        mov     ecx, 2048
        xor     eax, eax
        rep     stosd
        mov     dword [HIGH_TABLE + 1023 * 4], LAST_PAGE | P_P | P_W
        mov     dword [HALF_TABLE + 1023 * 4], HALF_PAGE | P_P | P_W
        mov     dword [PAGE_DIR + 1023 * 4], HIGH_TABLE | P_P | P_W
        mov     dword [PAGE_DIR + 511 * 4], HALF_TABLE | P_P | P_W
        mov     dword [PAGE_DIR + 512 * 4], (HALF_TABLE + 0x1000) | P_P | P_W
        mov     edi, HALF_TABLE + 0x1000
        mov     ecx, 1024
        xor     eax, eax
        rep     stosd
        mov     dword [HALF_TABLE + 0x1000], (HALF_PAGE + 0x1000) | P_P | P_W
        FLUSH
        ; ends at 2 GiB; ends at 4 GiB, where it goes on at 0; in the middle
        mov     edi, HALF_PAGE + 0xffb
        mov     esi, 0x7ffffffb
        call    .run
        mov     edi, HALF_PAGE + 0x1010
        mov     esi, 0x80000010
        call    .run
        mov     edi, HALF_PAGE + 0xffd
        mov     esi, 0x7ffffffd
        call    .run
        mov     edi, LAST_PAGE + 0x800
        mov     esi, 0xfffff800
        call    .run
        mov     eax, [0]
        push    eax
        mov     eax, [4]
        push    eax
        mov     dword [0], 0xc301c383           ; ADD EBX, 1; RET
        mov     edi, LAST_PAGE + 0xffb
        mov     dword [edi + 1], page_leaf - 0
        mov     byte [edi], 0xe8
        mov     esi, 0xfffffffb
        call    .hot
        pop     eax
        mov     [4], eax
        pop     eax
        mov     [0], eax
        mov     dword [PAGE_DIR + 1023 * 4], 0
        mov     dword [PAGE_DIR + 511 * 4], 0
        mov     dword [PAGE_DIR + 512 * 4], 0
        FLUSH
        ret
.run:   mov     byte [edi], 0xe8                ; CALL page_leaf; ADD EBX, 1; RET
        mov     eax, page_leaf - 5
        sub     eax, esi
        mov     [edi + 1], eax
        mov     dword [edi + 5], 0xc301c383
.hot:   xor     ebx, ebx
        mov     ebp, 30
.next:  call    esi
        dec     ebp
        jnz     .next
        EQ      ebx, 30
        ret
page_leaf:
        ret

; ---- levels ----
levels:
        mov     ebp, 12
.across:
        USER
        call    .up
.site:  mov     eax, cs                 ; also run at CPL 0
        test    al, 3
        jz      .was_up
        FAIL
.was_up:
        EQ      eax, CODE32
        dec     ebp
        jnz     .across
        mov     ebp, 12
.across2:
        call    .down
.site2: mov     eax, cs
        EQ      eax, USER_CODE
        SUPERVISOR
        add     esp, 4
        dec     ebp
        jnz     .across2
        ret
.up:    SUPERVISOR
        push    dword .site
        ret
.down:  USER
        push    dword .site2
        ret

; ---- nothing but calls to further on, and returns ----
interrupted:
        ; all of it is hot before
        mov     byte [twice], 1
        mov     ebp, 8
.hot1:  call    level0
        dec     ebp
        jnz     .hot1
        mov     byte [twice], 2
        mov     ebp, 8
.hot2:  call    level0
        dec     ebp
        jnz     .hot2
        mov     byte [twice], 3
        mov     ebp, 4
.next:  mov     [saved], esp
        mov     dx, 0xf5
        mov     eax, VEC | (2000 << 8)
        out     dx, eax
        sti
        jmp     level0
.back:  mov     esp, [saved]
        dec     ebp
        jnz     .next
        ret
interrupt:
        mov     dword [esp], interrupted.back
        and     dword [esp + 8], ~F_IF
        iretd

%macro LEVEL 0
level %+ n:
  %assign n n + 1
        test    byte [twice], 1
        jz      %%first
        call    level %+ n
%%first:
        test    byte [twice], 2
        jz      %%second
        call    level %+ n
%%second:
        ret
%endmacro
%assign n 0
%rep 60
        LEVEL
%endrep
level %+ n:
        ret
