; tests/guests/long_dispatch.asm -- byte code interpreters: a jump whose target is computed comes again
; and again, and leads along the same way for a while.  A translator may make one piece of that way:
; what a handler does, faults, stores, other mappings and interrupts must be what they are without.
; [SDM 2A "JMP"], [SDM 3A 4.10.4, 6.5, 8.1.3]
; Needs the test runner's port 0xf5 (does not run elsewhere).
;
; Six interpreters of the same byte code: by `jmp [table]`, by a table of distances, and by a
; register; from one place to which all handlers jump back, and at the end of each handler.
%include "long.inc"

HOT     equ 300                 ; rounds of a program
TABLE   equ 0x41000             ; of the interpreter that runs
MEM     equ 0x42000             ; what programs work on
COUNT   equ 0x43000             ; rounds that are left
COUNT2  equ 0x43008             ; of a loop inside
POINTER equ 0x43010             ; of LOADP and RMWP
LIMIT   equ 0x43018             ; of BELOW and POKE
DIVISOR equ 0x43020
HASH    equ vars64              ; of all results
FORM    equ vars64 + 8          ; address of the interpreter's description
OTHER   equ vars64 + 16         ; what POKE calls
LEFT    equ vars64 + 24
PLACE   equ vars64 + 32
KEEP_SP equ vars64 + 40
KIND    equ vars64 + 48
BASE    equ vars64 + 56         ; how far from its own place the interpreter runs
RUN_AT  equ vars64 + 64
HOLE    equ 0x200000
NX_PAGE equ 0x201000
FRAME   equ 0x240000
VEC     equ 0x43
FAR_    equ 0x8000000000        ; a linear address that is mapped nowhere
HIGH    equ 0xffff800000000000  ; where all of the lower half is once more
HASH_AT equ LOG + LOG_BYTES - 8 ; behind the last record that has room

; ---- byte code ----
HALT    equ 0
ADD_    equ 1
XORI    equ 2
CMP_    equ 3
CARRY   equ 4
ADC_    equ 5
PUSH_   equ 6
POP_    equ 7
LOAD    equ 8
STORE   equ 9
STEP    equ 10
LOOP_   equ 11
LEA_    equ 12
RMW     equ 13
CALL_   equ 14
UNLESS  equ 15                  ; mask, distance
BELOW   equ 16                  ; distance
SWAP    equ 17
REWRITE equ 18
DIV_    equ 19
SUB_    equ 20
LOADP   equ 21
RMWP    equ 22
POKE    equ 23
MIX     equ 24
INNER   equ 25                  ; rounds
LOOP2   equ 26
ODD     equ 27                  ; an entry that tests change; else ADD
OPS     equ 28

; kind: 0 jmp [table], 1 by a table of distances, 2 by a register
%macro DISPATCH 2               ; kind, label of the jump
        movzx   eax, byte [rsi]
        lea     rsi, [rsi + 1]
  %if %1 = 0
%2:     jmp     [rbx + rax * 8]
  %elif %1 = 1
        movsxd  rdx, dword [rbx + rax * 4]
        add     rdx, rbp
%2:     jmp     rdx
  %else
        mov     rdx, [rbx + rax * 8]
%2:     jmp     rdx
  %endif
%endmacro

%macro NEXT 1                   ; number of the interpreter
  %if %1 < 3
        jmp     near vm%1_loop
  %else
        DISPATCH (%1) % 3, %%jump
  %endif
%endmacro

; In: RSI = byte code, RBX = table, RBP = its base, RDI = MEM. The byte code's own: R8 to R15.
; Clobbers RAX, RCX, RDX.
%macro VM 1
        align   64
vm%1:
vm%1_loop:
        DISPATCH (%1) % 3, vm%1_jump
vm%1_halt:
        ret
vm%1_add:
        add     r8, r9
        NEXT    %1
vm%1_xori:
        movzx   edx, byte [rsi]
        lea     rsi, [rsi + 1]
        xor     r10, rdx
        NEXT    %1
vm%1_cmp:
        cmp     r8, r10
        NEXT    %1
vm%1_carry:
        setc    cl
        movzx   ecx, cl
        lea     r11, [r11 + r11 + rcx]
        NEXT    %1
vm%1_adc:
        adc     r12, r13
        NEXT    %1
vm%1_push:
        push    r8
        NEXT    %1
vm%1_pop:
        pop     r9
        NEXT    %1
vm%1_load:
        add     r14, [rdi + r15 * 8]
        NEXT    %1
vm%1_store:
        mov     [rdi + r15 * 8 + 64], r14
        NEXT    %1
vm%1_step:
        inc     r15d
        and     r15d, 7
        NEXT    %1
vm%1_loop_:
        sub     dword [COUNT], 1
        jz      near .out
        movsx   rdx, byte [rsi]
        lea     rsi, [rsi + rdx + 1]
        NEXT    %1
.out:   lea     rsi, [rsi + 1]
        NEXT    %1
vm%1_lea:
        lea     r10, [r10 + r9 * 2 + 3]
        NEXT    %1
vm%1_rmw:
        add     [rdi + r15 * 8 + 128], r10
        NEXT    %1
vm%1_call:
        call    vm_called
        NEXT    %1
vm%1_unless:
        movzx   edx, byte [rsi]
        test    [COUNT], dl
        jz      near .skip
        lea     rsi, [rsi + 2]
        NEXT    %1
.skip:  movsx   rdx, byte [rsi + 1]
        lea     rsi, [rsi + rdx + 2]
        NEXT    %1
vm%1_below:
        mov     edx, [LIMIT]
        cmp     [COUNT], edx
        jae     near .no
        movsx   rdx, byte [rsi]
        lea     rsi, [rsi + rdx]
.no:    lea     rsi, [rsi + 1]
        NEXT    %1
vm%1_swap:
        test    byte [COUNT], 0x3f
        jnz     near .no
  %if (%1) % 3 = 1
        mov     eax, [rbx + ADD_ * 4]
        mov     ecx, [rbx + SUB_ * 4]
        mov     [rbx + SUB_ * 4], eax
        mov     [rbx + ADD_ * 4], ecx
  %else
        mov     rax, [rbx + ADD_ * 8]
        xchg    rax, [rbx + SUB_ * 8]
        mov     [rbx + ADD_ * 8], rax
  %endif
.no:    NEXT    %1
vm%1_rewrite:
        test    byte [COUNT], 0x3f
        jnz     near .no
        xor     byte [vm%1_add + 1], 0x28       ; ADD <-> SUB
.no:    NEXT    %1
vm%1_div:
        mov     rax, r14
        xor     edx, edx
vm%1_div_at:
        div     qword [DIVISOR]
        xor     r10, rax
        NEXT    %1
vm%1_sub:
        sub     r8, r9
        NEXT    %1
vm%1_loadp:
        lea     r9, [r9 + 7]
        mov     rcx, [POINTER]
vm%1_loadp_at:
        add     r8, [rcx + 8]
        NEXT    %1
vm%1_rmwp:
        lea     r10, [r10 + 7]
        mov     rcx, [POINTER]
        stc
vm%1_rmwp_at:
        adc     [rcx + 16], r10
        NEXT    %1
vm%1_poke:
        mov     edx, [LIMIT]
        cmp     [COUNT], edx
        jne     near .no
        call    [OTHER]
.no:    NEXT    %1
vm%1_mix:
        mov     rcx, r12
        lea     r12, [rcx + rcx * 2 + 1]
        add     r13, r14
        adc     r9, r15
        NEXT    %1
vm%1_inner:
        movzx   edx, byte [rsi]
        lea     rsi, [rsi + 1]
        mov     [COUNT2], edx
        NEXT    %1
vm%1_loop2:
        sub     dword [COUNT2], 1
        jz      near .out
        movsx   rdx, byte [rsi]
        lea     rsi, [rsi + rdx + 1]
        NEXT    %1
.out:   lea     rsi, [rsi + 1]
        NEXT    %1

        align   8
vm%1_desc:
        dq      vm%1, vm%1_loadp_at, vm%1_rmwp_at, vm%1_div_at, vm%1_add, (%1) % 3
vm%1_entries:
        dq      vm%1_halt, vm%1_add, vm%1_xori, vm%1_cmp, vm%1_carry, vm%1_adc, vm%1_push
        dq      vm%1_pop, vm%1_load, vm%1_store, vm%1_step, vm%1_loop_, vm%1_lea, vm%1_rmw
        dq      vm%1_call, vm%1_unless, vm%1_below, vm%1_swap, vm%1_rewrite, vm%1_div, vm%1_sub
        dq      vm%1_loadp, vm%1_rmwp, vm%1_poke, vm%1_mix, vm%1_inner, vm%1_loop2, vm%1_add
%endmacro
        VM      0
        VM      1
        VM      2
        VM      3
        VM      4
        VM      5
; Fields of a description
D_RUN   equ 0
D_LOADP equ 8
D_RMWP  equ 16
D_DIV   equ 24
D_ADD   equ 32
D_KIND  equ 40
D_TABLE equ 48

main64: SET_GATE64 VEC, CODE64, LINEAR(interrupt), A_INT32, 0
        MAP64   HOLE, 0, 0
        MAP64   NX_PAGE, FRAME | P_ALL, NX
        SET_ENTRY PML4 + 256 * 8, PDPT | P_ALL, 0
        mov     qword [HASH], 0
        mov     qword [BASE], 0
        mov     dword [LEFT], 6
        mov     qword [FORM], descriptions
.form:  call    all_programs
        call    all_faults
        USER
        call    all_programs
        call    all_faults
        SUPERVISOR
        mov     rax, HIGH
        mov     [BASE], rax
        call    all_programs
        call    all_faults
        mov     qword [BASE], 0
        mov     rdx, [HASH]
        TRAPS   BP_, int3               ; to the log
        call    interrupted
        add     qword [FORM], 8
        dec     dword [LEFT]
        jnz     .form
        call    next_page
        call    no_room
        call    stale
        mov     rax, [HASH]
        mov     [HASH_AT], rax
        RESET_GATE64 VEC
        ret

descriptions:
        dq      vm0_desc, vm1_desc, vm2_desc, vm3_desc, vm4_desc, vm5_desc

; ---- running a program ----

; Registers, flags and memory as they are for each program; RSI stays.
prepare:
        mov     rdx, [FORM]
        mov     rdx, [rdx]
        mov     rbp, [rdx + D_RUN]
        add     rbp, [BASE]
        mov     [RUN_AT], rbp
        mov     eax, OPS - 1
        cmp     qword [rdx + D_KIND], 1
        je      .near
.entry: mov     rcx, [rdx + D_TABLE + rax * 8]
        add     rcx, [BASE]
        mov     [TABLE + rax * 8], rcx
        dec     eax
        jns     .entry
        jmp     .memory
.near:  mov     rcx, [rdx + D_TABLE + rax * 8]
        sub     rcx, [rdx + D_RUN]
        mov     [TABLE + rax * 4], ecx
        dec     eax
        jns     .near
.memory:
        mov     eax, 63
.qword: imul    rcx, rax, 0x01234567
        mov     [MEM + rax * 8], rcx
        dec     eax
        jns     .qword
        mov     ebx, TABLE
        mov     edi, MEM
        mov     dword [COUNT], HOT
        mov     dword [LIMIT], HOT / 2
        mov     qword [POINTER], MEM + 0x100
        mov     qword [DIVISOR], 3
        mov     r8, 0x1122334455667788
        mov     r9, 0x8000000000000001
        mov     r10, 0x70000000f0000000
        xor     r11d, r11d
        mov     r12, -5
        mov     r13, 0x7fffffffffffffff
        mov     r14d, 12345
        xor     r15d, r15d
        ret

; A program of the current interpreter, and its results to HASH.
run:    call    prepare
run_as_it_is:
        xor     ecx, ecx                ; flags, too
        call    [RUN_AT]
        ; fall through
fold:   pushfq
        pop     rax
        and     eax, F_CF | F_ZF | F_SF | F_OF | F_PF
        xor     rax, [HASH]
        rol     rax, 5
        xor     rax, r8
        rol     rax, 5
        xor     rax, r9
        rol     rax, 5
        xor     rax, r10
        rol     rax, 5
        xor     rax, r11
        rol     rax, 5
        xor     rax, r12
        rol     rax, 5
        xor     rax, r13
        rol     rax, 5
        xor     rax, r14
        rol     rax, 5
        xor     rax, r15
        rol     rax, 5
        xor     rax, rsi
        mov     ecx, 63
.qword: rol     rax, 5
        xor     rax, [MEM + rcx * 8]
        dec     ecx
        jns     .qword
        mov     [HASH], rax
        EQ64    rbx, TABLE
        EQ64    rdi, MEM
        EQ64    rbp, [RUN_AT]
        ret

%macro ROUND 1                  ; the end of a loop that began at %1
        db      LOOP_, (%1) - %%end
%%end:
%endmacro

all_programs:
        xor     ecx, ecx
.next:  mov     [PLACE], rcx
        mov     rsi, [programs + rcx * 8]
        call    run
        mov     rcx, [PLACE]
        inc     ecx
        cmp     ecx, PROGRAMS
        jb      .next
        ; what can be told beforehand
        mov     rsi, p_add
        call    run
        EQ64    r8, 0x1122334455667788 + HOT * 0x8000000000000001
        mov     rsi, p_swap             ; 64 rounds one way, 64 the other way, and twice so
        call    run
        EQ64    r8, 0x1122334455667788 + (HOT - 256) * 0x8000000000000001
        mov     rsi, p_rewrite
        call    run
        EQ64    r8, 0x1122334455667788 + (HOT - 256) * 0x8000000000000001
        mov     rsi, p_below
        call    run
        EQ64    r8, 0x1122334455667788 + (HOT / 2 + 1) * 0x8000000000000001
        ret

programs:
        dq      p_add, p_two, p_flags, p_stack, p_long, p_calls, p_by_turns, p_fours, p_full
        dq      p_below, p_swap, p_rewrite, p_inner, p_inner0, p_div, p_pointers, p_changes, p_threes
PROGRAMS equ ($ - programs) / 8
p_add:  db      ADD_
        ROUND   p_add
        db      HALT
p_two:  db      ADD_, XORI, 0x35
        ROUND   p_two
        db      CMP_, HALT
p_flags:
        db      CMP_, ADC_, CMP_, CARRY, LEA_, MIX, CARRY
        ROUND   p_flags
        db      HALT
p_stack:
        db      PUSH_, ADD_, PUSH_, XORI, 1, POP_, POP_, STEP, LOAD, STORE
        ROUND   p_stack
        db      HALT
p_long: db      LEA_, RMW, STEP, CMP_, ADC_, XORI, 77, LOAD, CARRY, STORE, PUSH_, ADD_, POP_, MIX
        db      CMP_, CARRY, STEP, RMW
        ROUND   p_long
        db      HALT
p_calls:
        db      CALL_, ADD_, CMP_, CALL_, ADC_, PUSH_, CALL_, POP_
        ROUND   p_calls
        db      HALT
p_by_turns:
        db      UNLESS, 1, 3, ADD_, LEA_, RMW, STEP
        ROUND   p_by_turns
        db      HALT
p_fours:
        db      UNLESS, 1, 2, ADD_, CARRY, UNLESS, 2, 2, LEA_, STEP, LOAD
        ROUND   p_fours
        db      HALT
p_full:                                 ; longer than a piece may be
  %rep 8
        db      LEA_, RMW, STEP, CMP_, ADC_, XORI, 99, LOAD, STORE, MIX
  %endrep
        ROUND   p_full
        db      HALT
p_below:
        db      BELOW, 1, ADD_
        ROUND   p_below
        db      HALT
p_swap: db      SWAP, ADD_
        ROUND   p_swap
        db      HALT
p_rewrite:
        db      REWRITE, ADD_
        ROUND   p_rewrite
        db      HALT
p_inner:
        db      INNER, 3
.2:     db      ADD_, CARRY
        db      LOOP2, .2 - .3
.3:     db      LEA_
        ROUND   p_inner
        db      HALT
p_inner0:
        db      INNER, 1
.2:     db      ADD_, CARRY
        db      LOOP2, .2 - .3
.3:     db      INNER, 17
.4:     db      LEA_, RMW
        db      LOOP2, .4 - .5
.5:     ROUND   p_inner0
        db      HALT
p_div:  db      LOAD, DIV_, STEP
        ROUND   p_div
        db      HALT
p_pointers:
        db      LOADP, STEP, RMWP
        ROUND   p_pointers
        db      CMP_, HALT
p_changes:                              ; another period in the second half
        db      BELOW, 5, ADD_, XORI, 3, CMP_, ADC_, LEA_, CARRY
        ROUND   p_changes
        db      HALT
p_threes:
        db      INNER, 2
.2:     db      UNLESS, 1, 1, ADD_, MIX
        db      LOOP2, .2 - .3
.3:     db      UNLESS, 2, 2, LEA_, RMW
        ROUND   p_threes
        db      HALT


; ---- faults ----

; In the program %1, POKE calls %2 at half of the rounds, and then there is one exception, %3, where
; the checks %4 hold; %5 mends what was wrong, called with RBP -> frame.
%macro FAULTING 5
        mov     rsi, %1
        call    prepare
        mov     qword [OTHER], %2
        mov     qword [lx_hook], %%hook
        mov     qword [lx_count], 0
        call    run_as_it_is
        mov     qword [lx_hook], 0
        EQ      [lx_count], 1
        EQ      [lx_vector], %3
        jmp     near %%end
%%hook: call    fold_fault
        mov     rax, [FORM]
        mov     rax, [rax]
        %4
        jmp     %5
%%end:
%endmacro

; At the instruction that the interpreter's description names
%macro AT_FIELD 1
        mov     rdx, [rax + %1]
        add     rdx, [BASE]
        EQ64    [lx_rip], rdx
%endmacro
%macro AT_JUMP 0
        mov     rdx, [lx_rip]
        EQ64    [lx_rip], rdx
        cmp     byte [rdx], 0xff
        je      %%ok
        FAIL
%%ok:
%endmacro
%macro AT_TARGET 1
        mov     rdx, %1
        add     rdx, [BASE]
        EQ64    [lx_rip], rdx
        EQ64    [lx_cr2], rdx
        BITS_EQ [lx_error], PF_I | PF_W, PF_I
%endmacro

%macro NOTHING 0
%endmacro

; All that the exception has saved, to HASH
fold_fault:
        mov     rax, [HASH]
        mov     ecx, (lx_end - lx_vector) / 8 - 1
.qword: rol     rax, 5
        xor     rax, [lx_vector + rcx * 8]
        dec     ecx
        jns     .qword
        mov     [HASH], rax
        ret

all_faults:
        FAULTING p_loadp, to_hole, PF, AT_FIELD D_LOADP, from_hole
        EQ64    [lx_cr2], HOLE + 8
        EQ64    [lx_regs + L_RCX], HOLE
        EQ64    [lx_regs + L_R9], 0x8000000000000001 + (HOT / 2 + 1) * 7
        EQ64    r9, 0x8000000000000001 + HOT * 7
        FAULTING p_rmwp, to_hole, PF, AT_FIELD D_RMWP, from_hole
        EQ64    [lx_cr2], HOLE + 16
        BITS_EQ [lx_error], PF_W | PF_P, PF_W
        EQ64    r10, 0x70000000f0000000 + HOT * 7
        FAULTING p_dive, to_zero, DE, AT_FIELD D_DIV, from_zero
        EQ64    [lx_regs + L_RDX], 0
        FAULTING p_odd, no_table, PF, NOTHING, to_table
        EQ64    [lx_regs + L_RBX], HOLE
        BITS_EQ [lx_error], PF_P | PF_W | PF_I, 0
        ; targets without a page: behind the jump
        FAULTING p_odd, in_hole, PF, AT_TARGET HOLE + 0x123, from_target
        FAULTING p_odd, in_nx_page, PF, AT_TARGET NX_PAGE + 0x123, from_target
        BITS_EQ [lx_error], PF_P, PF_P
        mov     rax, [FORM]
        mov     rax, [rax]
        cmp     qword [rax + D_KIND], 1
        je      near .near
        FAULTING p_odd, far_away, PF, AT_TARGET FAR_, from_target
        ; one that is no address: at the jump
        FAULTING p_odd, not_canonical, GP, AT_JUMP, from_jump
        EQ64    r11, 0
.near:  ret

; What POKE calls
to_hole:
        mov     qword [POINTER], HOLE
        ret
to_zero:
        mov     qword [DIVISOR], 0
        ret
no_table:
        mov     ebx, HOLE
        ret
in_hole:
        mov     edx, HOLE + 0x123
        add     rdx, [BASE]
        jmp     set_odd
in_nx_page:
        mov     edx, NX_PAGE + 0x123
        add     rdx, [BASE]
        jmp     set_odd
far_away:
        mov     rdx, FAR_
        add     rdx, [BASE]
        jmp     set_odd
not_canonical:
        mov     rdx, 0x0000800000000000
        jmp     set_odd
; ODD's entry = RDX
set_odd:
        mov     rcx, [FORM]
        mov     rcx, [rcx]
        cmp     qword [rcx + D_KIND], 1
        je      .near
        mov     [TABLE + ODD * 8], rdx
        ret
.near:  sub     rdx, [RUN_AT]
        mov     [TABLE + ODD * 4], edx
        ret

; What mends it, with RBP -> frame
from_hole:
        mov     qword [POINTER], MEM + 0x100
        mov     qword [rbp + L_RCX], MEM + 0x100
        ret
from_zero:
        mov     qword [DIVISOR], 3
        ret
to_table:
        mov     qword [rbp + L_RBX], TABLE
        ret
from_target:
        mov     rdx, [FORM]
        mov     rdx, [rdx]
        mov     rdx, [rdx + D_ADD]
        add     rdx, [BASE]
        mov     [rbp + L_RIP], rdx
        jmp     set_odd
from_jump:
        mov     rdx, [FORM]
        mov     rdx, [rdx]
        mov     rdx, [rdx + D_ADD]
        add     rdx, [BASE]
        mov     [rbp + L_RDX], rdx
        jmp     set_odd

p_loadp:
        db      POKE, STEP, LOADP, LEA_
        ROUND   p_loadp
        db      HALT
p_rmwp: db      POKE, RMWP, STEP
        ROUND   p_rmwp
        db      HALT
p_dive: db      LOAD, POKE, CMP_, DIV_
        ROUND   p_dive
        db      HALT
p_odd:  db      POKE, LEA_, ODD, MIX
        ROUND   p_odd
        db      HALT

; ---- a program that only an interrupt ends ----

interrupted:
        mov     dword [KIND], 3
.next:  mov     rsi, p_forever
        call    prepare
        xor     r8d, r8d
        xor     r10d, r10d
        mov     r9d, 1
        mov     [KEEP_SP], rsp
        mov     dx, 0xf5
        mov     eax, VEC | (300 << 8)
        out     dx, eax
        mov     rax, [FORM]
        mov     rax, [rax]
        sti
        call    [rax + D_RUN]
        cli
        mov     rax, [FORM]
        mov     rax, [rax]
        mov     rax, [rax + D_ADD]
        mov     byte [rax], 0x4d
        mov     byte [p_forever], ADD_
        EQ64    rsp, [KEEP_SP]
        lea     rax, [r8 + r8 * 4]      ; LEA as often as ADD
        EQ64    r10, rax
        mov     eax, r8d
        and     eax, 7
        EQ64    r15, rax
        dec     dword [KIND]
        jnz     .next
        jmp     prepare                 ; nothing of it in the log
p_forever:
        db      ADD_, LEA_, STEP
        db      UNLESS, 0, p_forever - .end
.end:

interrupt:
        push    rax
        push    rcx
        push    rdx
        mov     rcx, [FORM]
        mov     rcx, [rcx]
        cmp     dword [KIND], 2
        je      .table
        ja      .program
        mov     rdx, [rcx + D_ADD]      ; ADD's code
        mov     byte [rdx], 0xc3
        jmp     .end
.program:
        mov     byte [p_forever], HALT
        jmp     .end
.table: mov     rdx, [rcx + D_TABLE + HALT * 8]
        cmp     qword [rcx + D_KIND], 1
        je      .near
        mov     [TABLE + ADD_ * 8], rdx
        jmp     .end
.near:  sub     rdx, [rcx + D_RUN]
        mov     [TABLE + ADD_ * 4], edx
.end:   and     dword [rsp + 24 + 16], ~F_IF
        pop     rdx
        pop     rcx
        pop     rax
        iretq

vm_called:
        lea     r11, [r11 + 5]
        test    r11d, 3
        jz      .end
        inc     r11d
.end:   ret

; ---- handlers in the next page, which becomes another one ----

; The second page's frame: 0 its own, 1 one where SECOND is ADD R9 in place of ADD R8
SECOND_PT equ FREE_TABLES + 0x3000      ; of another address space
PAGE_2  equ (LINEAR(n_second) & ~0xfff)

next_page:
        cld
        mov     rsi, PAGE_2
        mov     edi, FRAME
        mov     ecx, 4096 / 8
        rep     movsq
        mov     byte [FRAME + LINEAR(n_add_2) - PAGE_2 + 2], 0xc1
        ; another address space, the same but for that page
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
.kind:  mov     ebx, n_table
        xor     r8d, r8d
        xor     r9d, r9d
        xor     r12d, r12d              ; which frame
        mov     r10d, 1
        xor     r11d, r11d
        xor     r13d, r13d
        xor     r14d, r14d
        mov     ecx, 1000
        mov     esi, p_next_page
        mov     eax, [KIND]
        mov     rax, [n_kinds - 8 + rax * 8]
        mov     [OTHER], rax
        call    n_loop
        mov     dword [PTE64(PAGE_2)], PAGE_2 | P_ALL
        mov     eax, PML4
        mov     cr3, rax
        EQ64    r8, 1000 - 8 * 64       ; of fifteen times 64 rounds every second
        EQ64    r9, 8 * 64
        EQ64    r11, 1000
        EQ64    r13, 1000
        EQ64    r14, 1000
        dec     dword [KIND]
        jnz     .kind
        ret

n_kinds:
        dq      .invlpg, .flush, .space, .not_there, .callee
; Each is called where ECX is a multiple of 64. R12 = the frame from now on; clobbers RAX.
.invlpg:
        xor     r12d, 1
        mov     eax, PAGE_2 | P_ALL
        jz      .set
        mov     eax, FRAME | P_ALL
.set:   mov     [PTE64(PAGE_2)], eax
        invlpg  [PAGE_2]
        ret
.flush: xor     r12d, 1
        mov     eax, PAGE_2 | P_ALL
        jz      .set_flush
        mov     eax, FRAME | P_ALL
.set_flush:
        mov     [PTE64(PAGE_2)], eax
        FLUSH64
        ret
.space: xor     r12d, 1
        mov     eax, PML4
        jz      .set_space
        mov     eax, FREE_TABLES
.set_space:
        mov     cr3, rax
        ret
; The fault of its fetch brings the other one
.not_there:
        mov     dword [PTE64(PAGE_2)], 0
        invlpg  [PAGE_2]
        mov     qword [lx_hook], .fetch_hook
        ret
.fetch_hook:
        mov     qword [lx_hook], 0
        EQ      [lx_vector], PF
        EQ      [lx_error], PF_I
        EQ64    [lx_cr2], n_second
        EQ64    [lx_rip], n_second
        xor     dword [rbp + L_R12], 1
        mov     eax, PAGE_2 | P_ALL
        jz      .set_hook
        mov     eax, FRAME | P_ALL
.set_hook:
        mov     [PTE64(PAGE_2)], eax
        ret
; By a callee's callee
.callee:
        call    .invlpg
        ret

p_next_page:
        db      1, 2, 3
        align   8
n_table:
        dq      n_first, n_second, n_third

        align   4096
        times   4096 - 0x60 nop
n_first:                                ; 1
        add     r11, r10
        test    cl, 63
        jnz     .no
        call    [OTHER]
.no:    stc
n_loop: lea     rsi, [rsi + 1]
        movzx   eax, byte [rsi - 1]
        jmp     [rbx + rax * 8 - 8]
n_third:                                ; 3
        adc     r14, r13                ; CF is still 1 ...
        sub     r14, r13
        dec     ecx
        jz      .end
        mov     esi, p_next_page
        jmp     n_loop
.end:   ret
        times   0x60 - ($ - n_first) nop
n_second:                               ; 2
        adc     r13, 0
        stc
n_add_2:
        add     r8, 1
        stc
        jmp     n_loop
        align   4096

; ---- a handler that lies over the page's end, and so is no part of what comes before ----

%macro MANY_REGISTERS 0
        add     r8, r9
        add     r10, r8
        xor     r11, r10
        add     r12, r11
        add     r13, r12
        add     r14, r13
        lea     r15, [r15 + r14]
        xor     rdi, r15
        add     rbp, rdi
%endmacro
%macro NO_ROOM 1                ; pages between the loop and the handler
        jmp     near %%start
        align   4096
        times   2048 nop
%%loop: MANY_REGISTERS
        dec     ecx
        jz      near %%out
        test    eax, eax
        js      near %%loop             ; never
        jmp     [rbx + rax * 8]
        times   2048 - 2 - ($ - %%loop) + (%1) * 4096 nop
%%back: jmp     strict near %%loop
%%out:  call    keep_registers
        jmp     near %%end
%%plain:
        MANY_REGISTERS
        dec     ecx
        jnz     %%plain
        jmp     near compare_registers
%%start:
        mov     ebx, TABLE
        mov     qword [TABLE], %%back
        call    set_registers
        jmp     near %%loop
%%end:  call    set_registers
        call    %%plain
%endmacro
no_room:
        NO_ROOM 0
        NO_ROOM 1
        ret

set_registers:
        xor     eax, eax
        mov     ecx, 500
        mov     r8d, 1
        mov     r9d, 3
        mov     r10d, 5
        mov     r11d, 7
        mov     r12d, 9
        mov     r13d, 11
        mov     r14d, 13
        mov     r15d, 15
        mov     edi, 17
        mov     ebp, 19
        ret
keep_registers:
        mov     [MEM], r8
        mov     [MEM + 8], r9
        mov     [MEM + 16], r10
        mov     [MEM + 24], r11
        mov     [MEM + 32], r12
        mov     [MEM + 40], r13
        mov     [MEM + 48], r14
        mov     [MEM + 56], r15
        mov     [MEM + 64], rdi
        mov     [MEM + 72], rbp
        ret
compare_registers:
        EQ64    [MEM], r8
        EQ64    [MEM + 8], r9
        EQ64    [MEM + 16], r10
        EQ64    [MEM + 24], r11
        EQ64    [MEM + 32], r12
        EQ64    [MEM + 40], r13
        EQ64    [MEM + 48], r14
        EQ64    [MEM + 56], r15
        EQ64    [MEM + 64], rdi
        EQ64    [MEM + 72], rbp
        ret

; ---- another way, so often that what was made for the first one is given up ----

STALE   equ 140000
stale:  cmp     dword [pass_left], 1
        jne     near .end
        mov     qword [FORM], descriptions
.next:  mov     rsi, p_add
        call    prepare
        mov     dword [COUNT], 2000
        call    run_as_it_is
        mov     rsi, p_lea
        call    prepare
        mov     dword [COUNT], STALE
        call    run_as_it_is
        EQ64    r10, 0x70000000f0000000 + STALE * (2 * 0x8000000000000001 + 3)
        mov     rsi, p_add
        call    run
        EQ64    r8, 0x1122334455667788 + HOT * 0x8000000000000001
        add     qword [FORM], 5 * 8     ; the last, too
        cmp     qword [FORM], descriptions + 6 * 8
        jb      .next
.end:   ret
p_lea:  db      LEA_
        ROUND   p_lea
        db      HALT
