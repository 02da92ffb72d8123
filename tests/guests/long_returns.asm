; tests/guests/long_returns.asm -- near calls and returns in 64-bit code, paired and not: what a
; translator that predicts returns must not take for granted between the two.  The stack that it may
; keep runs over; targets are not canonical; the caller's code changes, its page is another, the mode
; is another, when its callee returns; a program that only calls and returns can be interrupted.
; [SDM 2A "CALL", 2B "RET"], [SDM 1 3.3.7.1], [SDM 3A 8.1.3, 4.10.4, 6.6], [SDM 2B "STAC", "CLAC"]
; Needs the test runner's port 0xf5 (does not run elsewhere).
%include "long.inc"

VEC     equ 0x43
DEPTH   equ 20000
STACK   equ 0xf00000            ; 64 KiB calls deep
HIGH    equ 0xffff800000000000  ; the first GiB once more
TOP     equ 0x7ffffffff000      ; the last page of the lower half
TOP_PAGE equ 0x210000
BAD     equ 0x800000000000
CODE_A  equ 0x220000            ; and the page behind it
LIN     equ 0x8000000000        ; one page, elsewhere in each of two address spaces
PAGE1   equ 0x222000
PAGE2   equ 0x223000
USER_RW equ 0x3ff000            ; data of the user's, under SMAP
STACK_HOLE equ 0x3fd000         ; a page that is there or not
PML4_B  equ FREE_TABLES
PDPT_A  equ FREE_TABLES + 0x1000
PD_A    equ FREE_TABLES + 0x2000
PT_A    equ FREE_TABLES + 0x3000
PDPT_B  equ FREE_TABLES + 0x4000
PD_B    equ FREE_TABLES + 0x5000
PT_B    equ FREE_TABLES + 0x6000
PDPT_TOP equ FREE_TABLES + 0x7000
PD_TOP  equ FREE_TABLES + 0x8000
PT_TOP  equ FREE_TABLES + 0x9000
NO_FLUSH equ 1 << 63
saved   equ vars64
twice   equ vars64 + 16
bytes   equ vars64 + 8

main64:
        SET_ENTRY PML4 + 256 * 8, PDPT | P_ALL, 0
        SET_ENTRY PML4 + 255 * 8, PDPT_TOP | P_ALL, 0
        SET_ENTRY PDPT_TOP + 511 * 8, PD_TOP | P_ALL, 0
        SET_ENTRY PD_TOP + 511 * 8, PT_TOP | P_ALL, 0
        SET_ENTRY PT_TOP + 511 * 8, TOP_PAGE | P_ALL, 0
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        SET_ENTRY PML4_B, PDPT | P_ALL, 0
        SET_ENTRY PML4_B + 8, PDPT_B | P_ALL, 0
        SET_ENTRY PDPT_B, PD_B | P_ALL, 0
        SET_ENTRY PD_B, PT_B | P_ALL, 0
        SET_ENTRY PT_B, PAGE2 | P_ALL, 0
        SET_GATE64 VEC, CODE64, LINEAR(interrupt), A_INT32, 0
        mov     r13d, 2
.loop:  call    unpaired
        call    forms
        call    not_canonical
        call    at_the_end_of_the_half
        call    page_ends
        call    rewritten
        call    remapped
        call    modes
        call    smap
        call    single_steps
        call    levels
        call    stacks_that_fault
        dec     r13d
        jnz     .loop
        call    deep                    ; behind the others: its many pages cost windows
        call    interrupted
        RESET_GATE64 VEC
        ret

; ---- deeper than any stack of predictions ----
%macro DEEP 2                   ; routine, where
        mov     edi, DEPTH
        xor     eax, eax
        mov     rcx, %2 + %1
        call    rcx
        EQ64    rax, DEPTH
%endmacro
deep:
        mov     [saved], rsp
        mov     esp, STACK
        mov     rdx, .indirect
        mov     [bytes], rdx
        mov     r12d, 2
.again: DEEP    .direct, 0
        DEEP    .direct, HIGH           ; where an address does not fit 32 bits
        DEEP    .indirect, 0
        DEEP    .memory, 0
        DEEP    .handlers, 0
        DEEP    .divides, 0
        dec     r12d
        jnz     .again
        mov     rsp, [saved]
        ret
.direct:
        sub     edi, 1
        jz      .end
        call    .direct
.end:   inc     rax
        ret
.indirect:
        sub     edi, 1
        jz      .end
        call    rdx
        inc     rax
        ret
.memory:
        sub     edi, 1
        jz      .end
        mov     esi, .memory
        call    rsi
        inc     rax
        call    .leaf
        ret
.leaf:  ret
.handlers:                              ; with instructions that a translator may leave to a handler
        sub     edi, 1
        jz      .end
        sldt    ebx
        call    .handlers
        sldt    ebx
        inc     rax
        ret
.divides:                               ; each level faults
        sub     edi, 1
        jz      .end
        test    edi, 0xfff
        jnz     .fine
        mov     ebp, eax
        mov     r8d, edi
        FAULTS  DE, 0, div dword [zero]
        mov     edi, r8d
        mov     eax, ebp
.fine:  call    .divides
        inc     rax
        ret
zero:   dd      0

; ---- calls without returns, returns without calls ----
unpaired:
        mov     [saved], rsp
        ; left by longjmp(): 300 times 50 levels
        mov     r12d, 300
.jump:  mov     r8, rsp
        mov     edi, 50
        call    .down
.down:  dec     edi
        jnz     .deeper
        mov     rsp, r8
        jmp     .out
.deeper:
        call    .down
        FAIL
.out:   dec     r12d
        jnz     .jump
        EQ64    rsp, [saved]
        ; returns from nothing
        mov     r12d, 2000
.ret:   push    .ret_back
        ret
        FAIL
.ret_back:
        dec     r12d
        jnz     .ret
        ; as a retpoline: what the call pushed is replaced
        mov     r12d, 50
        mov     edx, .goal
.poline:
        call    .set
.caught:
        pause
        jmp     .caught
.set:   mov     [rsp], rdx
        ret
.goal:  dec     r12d
        jnz     .poline
        ; a callee that skips its caller, and one that returns further on
        mov     r12d, 50
        xor     ebx, ebx
.skip:  call    .outer
        inc     ebx
        call    .further
        ud2
        inc     ebx
        dec     r12d
        jnz     .skip
        EQ64    rbx, 100
        ; to know where it is
        mov     r12d, 20
.here:  call    .pop
.pop:   pop     rdx
        EQ64    rdx, LINEAR(.pop)
        dec     r12d
        jnz     .here
        EQ64    rsp, [saved]
        ret
.outer: call    .inner
        FAIL
.inner: add     rsp, 8
        ret
.further:
        add     qword [rsp], 2
        ret

; ---- forms ----
forms:
        mov     [saved], rsp
        mov     r12d, 20
        mov     edx, .plain
        mov     [bytes], rdx
.next:  push    1
        push    2
        call    .pops16
        EQ64    rsp, [saved]
        call    [bytes]
        call    rdx
        push    3
        call    .tail
        EQ64    rsp, [saved]
        call    .far
        call    .far_indirect
        mov     eax, CODE64
        push    rax
        call    .retf                   ; the far return takes what the near call pushed
        EQ64    rsp, [saved]
        dec     r12d
        jnz     .next
        ret
.pops16:
        EQ64    [rsp + 8], 2
        ret     16
.plain: ret
.tail:  jmp     .pops8
.pops8: ret     8
.far:   push    CODE64
        push    .same
        retfq
.same:  ret
.far_indirect:
        push    CODE32
        push    .compat
        retfq
bits 32
.compat:
        call    .compat_leaf
        jmp     CODE64:.again
.compat_leaf:
        ret
bits 64
.again: call    .plain
        ret
.retf:  retfq

; ---- a target that is not canonical: the RET faults, and nothing has changed ----
not_canonical:
        mov     [saved], rsp
        mov     r12d, 12
        mov     r8, BAD
.next:  push    r8
        push    r8
        mov     r9, rsp
        FAULTS  GP, 0, ret
        EQ64    [lx_rsp], r9
        EQ64    rsp, r9
        FAULTS  GP, 0, ret 0x1238
        EQ64    [lx_rsp], r9
        FAULTS  GP, 0, ret 0xfff8
        EQ64    [lx_rsp], r9
        BITS_EQ [lx_rflags], F_ZF | F_CF, F_ZF          ; those of the comparison before
        pop     rax
        pop     rax
        ; in what was called
        call    .called
        EQ64    rsp, [saved]
        mov     rax, ~BAD
        mov     r8, rax
        dec     r12d
        jnz     .next
        ret
.called:
        mov     rbx, [rsp]
        mov     [rsp], r8
        FAULTS  GP, 0, ret 8
        lea     rax, [rsp + 8]
        EQ64    rax, [saved]
        push    qword [rsp]
        mov     [rsp + 8], rdx
        pop     rax
        EQ64    rax, r8
        mov     qword [rsp], .back
        ret
.back:  ret

; ---- a call whose return address is not canonical ----
at_the_end_of_the_half:
        mov     dword [TOP_PAGE + 0xffb], 0xfff010e8    ; CALL TOP + 0x10
        mov     byte [TOP_PAGE + 0xfff], 0xff
        mov     dword [TOP_PAGE + 0x10], 0x909090c3     ; RET
        mov     word [TOP_PAGE + 0x20], 0xd0ff          ; and by a register, elsewhere
        mov     r12d, 12
        mov     rdi, TOP + 0xffb
.next:  mov     r9, rsp
        mov     dword [lx_resume], .fault
        mov     dword [lx_count], 0
        jmp     rdi
.fault: EQ      [lx_count], 1
        EQ      [lx_vector], GP
        EQ64    [lx_rip], TOP + 0x10
        mov     rax, BAD
        EQ64    [rsp], rax
        add     rsp, 8
        EQ64    rsp, r9
        dec     r12d
        jnz     .next
        mov     dword [TOP_PAGE + 0xffb], 0x90909090
        mov     dword [TOP_PAGE + 0xffc], 0xd0ff9090    ; NOP, NOP, CALL RAX
        mov     r12d, 12
        mov     rdi, TOP + 0xffb
.next2: mov     r9, rsp
        mov     dword [lx_resume], .fault2
        mov     dword [lx_count], 0
        mov     rax, TOP + 0x10
        jmp     rdi
.fault2:
        EQ      [lx_count], 1
        EQ64    [lx_rip], TOP + 0x10
        add     rsp, 8
        EQ64    rsp, r9
        dec     r12d
        jnz     .next2
        ret

; ---- the return site in the next page; a call across two ----
page_ends:
        mov     ebp, CODE_A + 0xff0             ; where the CALL begins
.place: mov     edi, CODE_A + 0xfe0
        mov     ecx, 0x40
        mov     al, 0x90
        rep     stosb
        mov     edi, ebp
        mov     byte [rdi], 0xe8
        mov     eax, page_leaf
        sub     eax, edi
        sub     eax, 5
        mov     [rdi + 1], eax
        mov     dword [rdi + 5], 0xc300c380     ; ADD BL, 0; RET
        mov     byte [rdi + 7], 3
        mov     byte [rdi + 8], 0xc3
        xor     ebx, ebx
        mov     r12d, 12
.next:  call    rdi
        dec     r12d
        jnz     .next
        EQ64    rbx, 36
        inc     ebp
        cmp     ebp, CODE_A + 0x1000
        jb      .place
        ret
page_leaf:
        ret

; ---- the callee writes on its caller ----
rewritten:
        ; behind the call
        xor     ebx, ebx
        mov     r12d, 20
.next:  call    .writes
.site:  add     rbx, byte 0
        dec     r12d
        jnz     .next
        EQ64    rbx, 210
        ; the call itself, which has happened
        xor     ebx, ebx
        mov     r12d, 20
.next2: mov     byte [.call], 0xe8
.call:  call    .hides
        inc     ebx
        dec     r12d
        jnz     .next2
        EQ64    rbx, 20
        mov     byte [.call], 0xe8
        ; where the call leads
        mov     r14d, .one
        mov     r15d, .two
        xor     ebx, ebx
        mov     r12d, 20
.next3: mov     rax, r14
        sub     rax, .site3
        mov     [.call3 + 1], eax
.call3: call    .one
.site3: xchg    r14, r15
        dec     r12d
        jnz     .next3
        EQ64    rbx, 10 * 1 + 10 * 0x100
        ; the site, hot, and what is behind it in a jump's way
        mov     r12d, 200
        xor     ebx, ebx
        mov     byte [.site4 + 3], 1
.next4: call    .sometimes
.site4: add     rbx, byte 1
        dec     r12d
        jnz     .next4
        EQ64    rbx, 100 + 101 * 2 - 2
        ret
.writes:
        mov     [.site + 3], r12b
        ret
.hides: mov     byte [.call], 0x90
        ret
.one:   add     ebx, 1
        ret
.two:   add     ebx, 0x100
        ret
.sometimes:
        cmp     r12d, 100
        jne     .not
        mov     byte [.site4 + 3], 2
.not:   ret

; ---- the caller's page is another one ----
%macro REMAPPED 2               ; routine, what is expected of 24 calls
        xor     ebx, ebx
        mov     r12d, 24
%%next: mov     rdi, LIN + 0x40
        mov     edx, %1
        call    rdi
        add     ebx, eax
        dec     r12d
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
        ; nothing happens; another entry and INVLPG: the code there is the other page's
        REMAPPED .leaf, 24
        REMAPPED .by_page, 12 * 2 + 12
        REMAPPED .leaf, 24
        REMAPPED .by_cr3, 12 * 2 + 12
        ; another address space, without and with PCIDs, without a flush
        REMAPPED .by_space, 12 * 2 + 12
        CR_SET  cr4, CR4_PCIDE
        REMAPPED .by_pcid, 12 * 2 + 12
        REMAPPED .by_pcid, 12 * 2 + 12
        mov     eax, PML4
        mov     cr3, rax
        CR_CLEAR cr4, CR4_PCIDE
        ; global pages
        CR_SET  cr4, CR4_PGE
        or      dword [PT_A], P_G
        or      dword [PT_B], P_G
        FLUSH64
        REMAPPED .leaf, 24
        REMAPPED .by_page, 12 * 2 + 12
        and     dword [PT_A], ~P_G
        and     dword [PT_B], ~P_G
        CR_CLEAR cr4, CR4_PGE
        ret
.make:  mov     dword [rdi - 1], 0xb8d2ff90     ; CALL RDX; MOV EAX, n; RET
        mov     dword [rdi + 3], 0
        mov     byte [rdi + 7], 0xc3
        ret
.leaf:  ret
.by_page:
        xor     dword [PT_A], PAGE1 ^ PAGE2
        mov     rax, LIN
        invlpg  [rax]
        ret
.by_cr3:
        xor     dword [PT_A], PAGE1 ^ PAGE2
        mov     rax, cr3
        mov     cr3, rax
        ret
.by_space:
        mov     rax, cr3
        xor     rax, PML4 ^ PML4_B
        mov     cr3, rax
        ret
.by_pcid:
        mov     rax, cr3
        xor     rax, PML4 ^ PML4_B ^ 1
        mov     rcx, NO_FLUSH
        or      rax, rcx
        mov     cr3, rax
        ret

; ---- another mode behind the call ----
modes:
        fninit
        mov     r12d, 12
.next:  call    .on
        FAULTS  NM, 0, fld1
        call    .off
        fld1
        fstp    st0
        call    .off
        fninit
        ; the same with levels between
        call    .on_below
        FAULTS  NM, 0, fld1
        call    .off_below
        fld1
        fstp    st0
        call    .both
        fld1
        fstp    st0
        dec     r12d
        jnz     .next
        ; what is behind the call is hot in the one mode when a callee leaves another
        mov     dword [lx_count], 0
        mov     dword [lx_resume], .caught
        mov     r12d, 24
.hot:   call    .on_at_6
        fld1
        fstp    st0
.hot_next:
        dec     r12d
        jnz     .hot
        EQ      [lx_count], 1
        EQ      [lx_vector], NM
        ret
.caught:
        EQ      r12d, 6
        clts
        jmp     .hot_next
.on_at_6:
        cmp     r12d, 6
        je      .on
        ret
.on_below:
        call    .on
        ret
.off_below:
        call    .off
        ret
.both:  call    .on
        FAULTS  NM, 0, fld1
        call    .off
        ret
.on:    mov     rax, cr0
        or      eax, CR0_TS
        mov     cr0, rax
        ret
.off:   clts
        ret

; ---- STAC and CLAC by a callee ----
smap:
        and     dword [PD], ~P_U                ; the first 2 MiB are the supervisor's, and STACK
        and     dword [PD + 7 * 8], ~P_U
        mov     dword [USER_RW], 0x1234
        CR_SET  cr4, CR4_SMAP
        FLUSH64
        mov     r12d, 12
.next:  call    .open
        EQ      [USER_RW], 0x1234
        call    .close
        PAGE_FAULTS PF_P, USER_RW, mov eax, [USER_RW]
        call    .open_below
        EQ      [USER_RW], 0x1234
        call    .leaf
        EQ      [USER_RW], 0x1234
        call    .close_below
        PAGE_FAULTS PF_P, USER_RW, mov eax, [USER_RW]
        call    .leaf
        PAGE_FAULTS PF_P, USER_RW, mov eax, [USER_RW]
        call    .uses
        PAGE_FAULTS PF_P, USER_RW, mov eax, [USER_RW]
        stac
        call    .close_open
        EQ      [USER_RW], 0x1234
        clac
        call    .by_popf
        EQ      [USER_RW], 0x1234
        clac
        PAGE_FAULTS PF_P, USER_RW, mov eax, [USER_RW]
        dec     r12d
        jnz     .next
        ; the same once, behind calls that are hot
        stac
        mov     dword [lx_count], 0
        mov     dword [lx_resume], .caught
        mov     r12d, 24
.hot:   call    .close_at_6
        mov     eax, [USER_RW]
        EQ      eax, 0x1234
.hot_next:
        stac
        dec     r12d
        jnz     .hot
        clac
        EQ      [lx_count], 1
        EQ      [lx_vector], PF
        mov     dword [lx_count], 0
        mov     r12d, 24
.hot2:  mov     dword [lx_resume], .hot2_next
        call    .open_at_6
        mov     eax, [USER_RW]
        EQ      r12d, 6
.hot2_next:
        clac
        dec     r12d
        jnz     .hot2
        mov     dword [lx_resume], 0
        EQ      [lx_count], 23
        ; deep, changing all the way down and up
        mov     [saved], rsp
        mov     esp, STACK
        mov     r12d, 3
.again: mov     edi, DEPTH
        xor     eax, eax
        stac
        call    .deep
        clac
        EQ64    rax, DEPTH
        dec     r12d
        jnz     .again
        mov     rsp, [saved]
        CR_CLEAR cr4, CR4_SMAP
        or      dword [PD], P_U
        or      dword [PD + 7 * 8], P_U
        FLUSH64
        ret
.deep:  sub     edi, 1
        jz      .end
        clac
        call    .leaf
        stac
        call    .deep
        call    .leaf
        add     eax, [USER_RW]
        sub     eax, 0x1234
.end:   inc     rax
        ret
.caught:
        EQ      r12d, 6
        jmp     .hot_next
.close_at_6:
        cmp     r12d, 6
        je      .close
        ret
.open_at_6:
        cmp     r12d, 6
        je      .open
        ret
.open:  stac
.leaf:  ret
.close: clac
        ret
.open_below:
        call    .open
        ret
.close_below:
        call    .close
        ret
.uses:  call    .open
        mov     eax, [USER_RW]
        call    .close
        ret
.close_open:
        clac
        call    .leaf
        stac
        ret
.by_popf:
        pushfq
        or      dword [rsp], F_AC
        popfq
        ret

; ---- TF set by a callee: the trap comes behind its RET ----
single_steps:
        mov     r12d, 12
.next:  mov     dword [lx_count], 0
        mov     qword [lx_hook], .hook
        call    .steps
.site:  mov     qword [lx_hook], 0
        EQ      [lx_count], 1
        EQ      [lx_vector], DB_
        EQ64    [lx_rip], LINEAR(.site)
        dec     r12d
        jnz     .next
        ret
.steps: pushfq
        or      dword [rsp], F_TF
        popfq
        ret
.hook:  and     dword [rbp + L_RFLAGS], ~F_TF
        ret

; ---- levels: system calls between call and return; one level's return site reached from another ----
levels:
        WRITE_MSR STAR, (CODE64 << 32) | ((USER_CODE32 & ~3) << 48)
        WRITE_MSR LSTAR, LINEAR(.kernel)
        WRITE_MSR FMASK, F_IF
        xor     ebx, ebx
        mov     [bytes], rbx
        USER
        mov     r12d, 40
.next:  call    .asks
        inc     ebx
        call    .asks_below
        dec     r12d
        jnz     .next
        EQ64    rsp, USER_STACK
        SUPERVISOR
        EQ64    rbx, 40 * 2
        EQ64    [bytes], 40 * 2
        ; called at CPL 3, returned from at CPL 0
        mov     r12d, 12
.across:
        USER
        call    .up
.site:  mov     eax, cs                 ; also run at CPL 0
        test    al, 3
        jnz     .up_again
        EQ      eax, CODE64
        dec     r12d
        jnz     .across
        ; and the other way round
        mov     r12d, 12
.across2:
        call    .down
.site2: mov     eax, cs
        EQ      eax, USER_CODE64
        SUPERVISOR
        add     rsp, 8                  ; the call's
        dec     r12d
        jnz     .across2
        ret
.up_again:
        FAIL
.up:    SUPERVISOR
        push    .site
        ret
.down:  USER
        push    .site2
        ret
.asks:  syscall
        ret
.asks_below:
        call    .asks
        inc     ebx
        ret
.kernel:
        mov     r8, rsp
        mov     esp, KERNEL_STACK - 0x1800
        call    .work
        mov     rsp, r8
        o64 sysret
.work:  test    byte [bytes], 1
        jz      .even
        call    .leaf
.even:  inc     qword [bytes]
        call    .leaf
.leaf:  ret

; ---- the stack faults ----
stacks_that_fault:
        mov     [saved], rsp
        SET_GATE64 PF, CODE64, LINEAR(long_stubs + PF * 16), A_INT32, 1
        mov     qword [TSS64 + 0x24], KERNEL_STACK - 0x2000
        mov     r12d, 12
.next:  mov     esp, STACK_HOLE + 0x800
        call    .leaf
        mov     esp, STACK_HOLE + 0x1004        ; across two pages
        call    .leaf
        EQ64    rsp, STACK_HOLE + 0x1004
        ; the call's push, the return's pop: nothing has changed
        mov     rsp, [saved]
        MAP64   STACK_HOLE, 0, 0
        mov     dword [lx_resume], .pushed
        mov     esp, STACK_HOLE + 0x800
.call:  call    .leaf
.pushed:
        mov     rsp, [saved]
        EQ      [lx_vector], PF
        EQ      [lx_error], PF_W
        EQ64    [lx_rip], LINEAR(.call)
        EQ64    [lx_cr2], STACK_HOLE + 0x7f8
        EQ64    [lx_rsp], STACK_HOLE + 0x800
        mov     dword [lx_resume], .popped
        call    .hides
        FAIL
.popped:
        mov     rsp, [saved]
        EQ      [lx_error], 0
        EQ64    [lx_rip], LINEAR(.leaf)
        EQ64    [lx_cr2], STACK_HOLE + 0x810
        EQ64    [lx_rsp], STACK_HOLE + 0x810
        MAP64   STACK_HOLE, STACK_HOLE | P_ALL, 0
        dec     r12d
        jnz     .next
        RESET_GATE64 PF
        ret
.hides: mov     esp, STACK_HOLE + 0x810
.leaf:  ret

; ---- nothing but calls to further on, and returns: without end, as far as anybody can wait ----
interrupted:
        ; all of it is hot before
        mov     byte [twice], 1
        mov     r12d, 8
.hot1:  call    level0
        dec     r12d
        jnz     .hot1
        mov     byte [twice], 2
        mov     r12d, 8
.hot2:  call    level0
        dec     r12d
        jnz     .hot2
        mov     byte [twice], 3
        mov     r12d, 4
.next:  mov     [saved], rsp
        mov     dx, 0xf5
        mov     eax, VEC | (2000 << 8)
        out     dx, eax
        sti
        jmp     level0
.back:  mov     rsp, [saved]
        dec     r12d
        jnz     .next
        ret
interrupt:
        mov     qword [rsp], interrupted.back
        and     dword [rsp + 16], ~F_IF
        iretq

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
