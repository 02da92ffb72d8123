; tests/guests/dispatch.asm -- what long_dispatch.asm checks, in 32-bit code: at CPL 0 and 3, in a code
; segment with a limit and in one with a base; and jumps by 16-bit operands.
; [SDM 2A "JMP"], [SDM 3A 4.10.4, 5.3]
;
; Six interpreters of the same byte code: by `jmp [table]`, by a table of distances, and by a
; register; from one place to which all handlers jump back, and at the end of each handler.
%include "common.inc"
%include "paging.inc"

HOT     equ 300                 ; rounds of a program
TABLE   equ 0x41000             ; of the interpreter that runs
MEM     equ 0x42000             ; what programs work on
COUNT   equ 0x43000             ; rounds that are left
POINTER equ 0x43004             ; of LOADP and RMWP
LIMIT   equ 0x43008             ; of BELOW and POKE
DIVISOR equ 0x4300c
OTHER   equ 0x43010             ; what POKE calls
SUM     equ 0x43014             ; the byte code's own, as are ECX and EBP
SUM2    equ 0x43018
HASH    equ vars                ; of all results
FORM    equ vars + 4            ; address of the interpreter's description
BASE    equ vars + 8            ; of CS
PLACE   equ vars + 12
FAR_PTR equ vars + 16           ; and 20
HOLE    equ 0x200000            ; no page is there
BEYOND  equ 0x300000            ; nor there, and the limit is below
LIMITED equ FREE                ; CS with a limit
BASED   equ FREE + 8            ; and with a base

; ---- byte code ----
HALT    equ 0
ADD_    equ 1
XORI    equ 2
CMP_    equ 3
CARRY   equ 4
ADC_    equ 5
PUSH_   equ 6
POP_    equ 7
LOOP_   equ 8
RMW     equ 9
CALL_   equ 10
UNLESS  equ 11                  ; mask, distance
BELOW   equ 12                  ; distance
SWAP    equ 13
REWRITE equ 14
DIV_    equ 15
SUB_    equ 16
LOADP   equ 17
RMWP    equ 18
POKE    equ 19
ODD     equ 20                  ; an entry that tests change; else ADD
OPS     equ 21

; kind: 0 jmp [table], 1 by a table of distances, 2 by a register
%macro DISPATCH 1
        movzx   eax, byte [esi]
        lea     esi, [esi + 1]
  %if %1 = 0
        jmp     [ebx + eax * 4]
  %elif %1 = 1
        mov     edx, [ebx + eax * 4]
        add     edx, [MEM - 4]          ; where this interpreter is
        jmp     edx
  %else
        mov     edx, [ebx + eax * 4]
        jmp     edx
  %endif
%endmacro

%macro NEXT 1                   ; number of the interpreter
  %if %1 < 3
        jmp     near vm%1_loop
  %else
        DISPATCH (%1) % 3
  %endif
%endmacro

; In: ESI = byte code, EBX = table, EDI = MEM.  Clobbers EAX, EDX.
%macro VM 1
        align   64
vm%1:
vm%1_loop:
        DISPATCH (%1) % 3
vm%1_halt:
        ret
vm%1_add:
        add     ecx, ebp
        NEXT    %1
vm%1_xori:
        movzx   edx, byte [esi]
        lea     esi, [esi + 1]
        xor     ebp, edx
        NEXT    %1
vm%1_cmp:
        cmp     ecx, ebp
        NEXT    %1
vm%1_carry:
        setc    dl
        movzx   edx, dl
        add     [SUM2], edx
        NEXT    %1
vm%1_adc:
        adc     [SUM], ecx
        NEXT    %1
vm%1_push:
        push    ecx
        NEXT    %1
vm%1_pop:
        pop     ebp
        NEXT    %1
vm%1_loop_:
        sub     dword [COUNT], 1
        jz      near .out
        movsx   edx, byte [esi]
        lea     esi, [esi + edx + 1]
        NEXT    %1
.out:   lea     esi, [esi + 1]
        NEXT    %1
vm%1_rmw:
        mov     edx, [COUNT]
        and     edx, 7
        add     [edi + edx * 4], ecx
        NEXT    %1
vm%1_call:
        call    vm_called
        NEXT    %1
vm%1_unless:
        movzx   edx, byte [esi]
        test    [COUNT], dl
        jz      near .skip
        lea     esi, [esi + 2]
        NEXT    %1
.skip:  movsx   edx, byte [esi + 1]
        lea     esi, [esi + edx + 2]
        NEXT    %1
vm%1_below:
        mov     edx, [LIMIT]
        cmp     [COUNT], edx
        jae     near .no
        movsx   edx, byte [esi]
        lea     esi, [esi + edx]
.no:    lea     esi, [esi + 1]
        NEXT    %1
vm%1_swap:
        test    byte [COUNT], 0x3f
        jnz     near .no
        mov     eax, [ebx + ADD_ * 4]
        xchg    eax, [ebx + SUB_ * 4]
        mov     [ebx + ADD_ * 4], eax
.no:    NEXT    %1
vm%1_rewrite:
        test    byte [COUNT], 0x3f
        jnz     near .no
        xor     byte [vm%1_add], 0x28           ; ADD <-> SUB
.no:    NEXT    %1
vm%1_div:
        mov     eax, ecx
        xor     edx, edx
vm%1_div_at:
        div     dword [DIVISOR]
        xor     ebp, eax
        NEXT    %1
vm%1_sub:
        sub     ecx, ebp
        NEXT    %1
vm%1_loadp:
        lea     ebp, [ebp + 7]
        mov     edx, [POINTER]
vm%1_loadp_at:
        add     ecx, [edx + 8]
        NEXT    %1
vm%1_rmwp:
        lea     ecx, [ecx + 7]
        mov     edx, [POINTER]
        stc
vm%1_rmwp_at:
        adc     [edx + 16], ecx
        NEXT    %1
vm%1_poke:
        mov     edx, [LIMIT]
        cmp     [COUNT], edx
        jne     near .no
        call    [OTHER]
.no:    NEXT    %1

        align   4
vm%1_desc:
        dd      vm%1, vm%1_loadp_at, vm%1_rmwp_at, vm%1_div_at, vm%1_add, (%1) % 3
vm%1_entries:
        dd      vm%1_halt, vm%1_add, vm%1_xori, vm%1_cmp, vm%1_carry, vm%1_adc, vm%1_push
        dd      vm%1_pop, vm%1_loop_, vm%1_rmw, vm%1_call, vm%1_unless, vm%1_below, vm%1_swap
        dd      vm%1_rewrite, vm%1_div, vm%1_sub, vm%1_loadp, vm%1_rmwp, vm%1_poke, vm%1_add
%endmacro
        VM      0
        VM      1
        VM      2
        VM      3
        VM      4
        VM      5
; Fields of a description
D_RUN   equ 0
D_LOADP equ 4
D_RMWP  equ 8
D_DIV   equ 12
D_ADD   equ 16
D_KIND  equ 20
D_TABLE equ 24

; From CODE32 to the same place in another segment, and back
%macro CS_ENTER 2               ; selector, base
        mov     dword [BASE], %2
        mov     dword [FAR_PTR], LINEAR(%%there) - (%2)
        mov     word [FAR_PTR + 4], %1
        jmp     far [FAR_PTR]
%%there:
%endmacro
%macro CS_LEAVE 0
        jmp     CODE32:%%back
%%back: mov     dword [BASE], 0
%endmacro

main:   SET_DESC LIMITED, 0, 0x2ff, A_CODE, G_4K | D_32
        SET_DESC BASED, 0x1000, 0xfffff, A_CODE, G_4K | D_32
        call    paging_on
        MAP     HOLE, 0
        MAP     BEYOND, 0
        mov     dword [HASH], 0
        mov     dword [BASE], 0
        mov     dword [FORM], descriptions
.form:  call    all_programs
        call    all_faults
        USER
        call    all_programs
        call    all_faults
        SUPERVISOR
        CS_ENTER LIMITED, 0
        call    all_programs
        call    all_faults
        CS_LEAVE
        CS_ENTER BASED, 0x1000
        call    all_programs
        call    all_faults
        CS_LEAVE
        call    prepare
        mov     edx, [HASH]
        TRAPS   BP_, int3               ; to the log
        add     dword [FORM], 4
        cmp     dword [FORM], descriptions + 6 * 4
        jb      near .form
        call    small
        call    paging_off
        ret

descriptions:
        dd      vm0_desc, vm1_desc, vm2_desc, vm3_desc, vm4_desc, vm5_desc

; ---- running a program ----

prepare:
        mov     edx, [FORM]
        mov     edx, [edx]
        mov     eax, OPS - 1
.entry: mov     ecx, [edx + D_TABLE + eax * 4]
        sub     ecx, [BASE]
        cmp     dword [edx + D_KIND], 1
        jne     .set
        mov     ecx, [edx + D_TABLE + eax * 4]
        sub     ecx, [edx + D_RUN]
.set:   mov     [TABLE + eax * 4], ecx
        dec     eax
        jns     .entry
        mov     eax, 63
.dword: imul    ecx, eax, 0x01234567
        mov     [MEM + eax * 4], ecx
        dec     eax
        jns     .dword
        mov     eax, [edx + D_RUN]
        sub     eax, [BASE]
        mov     [MEM - 4], eax
        mov     ebx, TABLE
        mov     edi, MEM
        mov     dword [COUNT], HOT
        mov     dword [LIMIT], HOT / 2
        mov     dword [POINTER], MEM + 0x40
        mov     dword [DIVISOR], 3
        mov     dword [SUM], 0
        mov     dword [SUM2], 0
        mov     ecx, 0x55667788
        mov     ebp, 0x80000001
        ret

; A program of the current interpreter, and its results to HASH.
run:    call    prepare
run_as_it_is:
        xor     eax, eax                ; flags, too
        call    [MEM - 4]
        ; fall through
fold:   pushfd
        pop     eax
        and     eax, F_CF | F_ZF | F_SF | F_OF | F_PF
        xor     eax, [HASH]
        rol     eax, 5
        xor     eax, ecx
        rol     eax, 5
        xor     eax, ebp
        rol     eax, 5
        xor     eax, esi
        rol     eax, 5
        xor     eax, [SUM]
        rol     eax, 5
        xor     eax, [SUM2]
        mov     edx, 63
.dword: rol     eax, 5
        xor     eax, [MEM + edx * 4]
        dec     edx
        jns     .dword
        mov     [HASH], eax
        EQ      edi, MEM
        ret

%macro ROUND 1                  ; the end of a loop that began at %1
        db      LOOP_, (%1) - %%end
%%end:
%endmacro

all_programs:
        xor     ecx, ecx
.next:  mov     [PLACE], ecx
        mov     esi, [programs + ecx * 4]
        call    run
        mov     ecx, [PLACE]
        inc     ecx
        cmp     ecx, PROGRAMS
        jb      .next
        ; what can be told beforehand
        mov     esi, p_add
        call    run
        EQ      ecx, (0x55667788 + HOT * 0x80000001) & 0xffffffff
        mov     esi, p_swap             ; 64 rounds one way, 64 the other way, and twice so
        call    run
        EQ      ecx, (0x55667788 + (HOT - 256) * 0x80000001) & 0xffffffff
        mov     esi, p_rewrite
        call    run
        EQ      ecx, (0x55667788 + (HOT - 256) * 0x80000001) & 0xffffffff
        mov     esi, p_below
        call    run
        EQ      ecx, (0x55667788 + (HOT / 2 + 1) * 0x80000001) & 0xffffffff
        ret

programs:
        dd      p_add, p_two, p_flags, p_stack, p_long, p_calls, p_by_turns, p_fours, p_full
        dd      p_below, p_swap, p_rewrite, p_div, p_pointers, p_changes
PROGRAMS equ ($ - programs) / 4
p_add:  db      ADD_
        ROUND   p_add
        db      HALT
p_two:  db      ADD_, XORI, 0x35
        ROUND   p_two
        db      CMP_, HALT
p_flags:
        db      CMP_, ADC_, CMP_, CARRY, RMW, ADD_, CARRY
        ROUND   p_flags
        db      HALT
p_stack:
        db      PUSH_, ADD_, PUSH_, XORI, 1, POP_, POP_, RMW
        ROUND   p_stack
        db      HALT
p_long: db      ADD_, RMW, CMP_, ADC_, XORI, 77, CARRY, PUSH_, ADD_, POP_, SUB_, CMP_, CARRY, RMW
        ROUND   p_long
        db      HALT
p_calls:
        db      CALL_, ADD_, CMP_, CALL_, ADC_, PUSH_, CALL_, POP_
        ROUND   p_calls
        db      HALT
p_by_turns:
        db      UNLESS, 1, 2, ADD_, CARRY, RMW, SUB_
        ROUND   p_by_turns
        db      HALT
p_fours:
        db      UNLESS, 1, 2, ADD_, CARRY, UNLESS, 2, 2, SUB_, CARRY, RMW
        ROUND   p_fours
        db      HALT
p_full:                                 ; longer than a piece may be
  %rep 8
        db      ADD_, RMW, CMP_, ADC_, XORI, 99, SUB_, CARRY
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
p_div:  db      ADD_, DIV_, RMW
        ROUND   p_div
        db      HALT
p_pointers:
        db      LOADP, RMWP
        ROUND   p_pointers
        db      CMP_, HALT
p_changes:                              ; another period in the second half
        db      BELOW, 4, ADD_, XORI, 3, CMP_, ADC_, CARRY
        ROUND   p_changes
        db      HALT

; ---- faults ----

; In the program %1, POKE calls %2 at half of the rounds, and then there is one exception, %3, where
; the checks %4 hold; %5 mends what was wrong, called with EBP -> frame.
%macro FAULTING 5
        mov     esi, %1
        call    prepare
        mov     dword [OTHER], %2
        mov     eax, [BASE]
        sub     [OTHER], eax
        mov     dword [ex_hook], %%hook
        mov     dword [ex_count], 0
        call    run_as_it_is
        mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], %3
        jmp     near %%end
%%hook: call    fold_fault
        mov     eax, [FORM]
        mov     eax, [eax]
        %4
        jmp     %5
%%end:
%endmacro

; At the instruction that the interpreter's description names
%macro AT_FIELD 1
        mov     edx, [eax + %1]
        sub     edx, [BASE]
        EQ      [ex_eip], edx
%endmacro
%macro AT_JUMP 0
        mov     edx, [ex_eip]
        add     edx, [BASE]
        cmp     byte [edx], 0xff
        je      %%ok
        FAIL
%%ok:
%endmacro
%macro AT_TARGET 1
        mov     edx, %1
        EQ      [ex_cr2], edx
        sub     edx, [BASE]
        EQ      [ex_eip], edx
        BITS_EQ [ex_error], PF_P | PF_W, 0
%endmacro
%macro NOTHING 0
%endmacro

; All that the exception has saved, to HASH
fold_fault:
        mov     eax, [HASH]
        mov     ecx, 15
.dword: rol     eax, 5
        xor     eax, [ex_vector + ecx * 4]
        dec     ecx
        jns     .dword
        mov     [HASH], eax
        ret

all_faults:
        FAULTING p_loadp, to_hole, PF, AT_FIELD D_LOADP, from_hole
        EQ      [ex_cr2], HOLE + 8
        EQ      [ex_regs + FR_EDX], HOLE
        EQ      [ex_regs + FR_EBP], 0x80000001 + (HOT / 2 + 1) * 7
        EQ      ebp, 0x80000001 + HOT * 7
        FAULTING p_rmwp, to_hole, PF, AT_FIELD D_RMWP, from_hole
        EQ      [ex_cr2], HOLE + 16
        BITS_EQ [ex_error], PF_W | PF_P, PF_W
        BITS_EQ [ex_eflags], F_CF, F_CF
        EQ      ecx, 0x55667788 + HOT * 7
        FAULTING p_dive, to_zero, DE, AT_FIELD D_DIV, from_zero
        EQ      [ex_regs + FR_EDX], 0
        FAULTING p_odd, no_table, PF, NOTHING, to_table
        EQ      [ex_regs + FR_EBX], HOLE
        ; targets without a page: behind the jump
        FAULTING p_odd, in_hole, PF, AT_TARGET HOLE + 0x123, from_target
        mov     eax, cs
        cmp     eax, LIMITED
        je      near .limited
        FAULTING p_odd, beyond, PF, AT_TARGET BEYOND + 0x123, from_target
        ret
.limited:                               ; beyond the limit: at the jump
        FAULTING p_odd, beyond, GP, AT_JUMP, from_jump
        EQ      [ex_error], 0
        ret

; What POKE calls
to_hole:
        mov     dword [POINTER], HOLE
        ret
to_zero:
        mov     dword [DIVISOR], 0
        ret
no_table:
        mov     ebx, HOLE
        ret
in_hole:
        mov     edx, HOLE + 0x123
        jmp     set_odd
beyond: mov     edx, BEYOND + 0x123
        jmp     set_odd
; ODD's entry leads to the linear address EDX. Clobbers EAX.
set_odd:
        mov     eax, [FORM]
        mov     eax, [eax]
        cmp     dword [eax + D_KIND], 1
        je      .near
        sub     edx, [BASE]
        mov     [TABLE + ODD * 4], edx
        ret
.near:  sub     edx, [eax + D_RUN]
        mov     [TABLE + ODD * 4], edx
        ret

; What mends it, with EBP -> frame
from_hole:
        mov     dword [POINTER], MEM + 0x40
        mov     dword [ebp + FR_EDX], MEM + 0x40
        ret
from_zero:
        mov     dword [DIVISOR], 3
        ret
to_table:
        mov     dword [ebp + FR_EBX], TABLE
        ret
from_target:
        mov     edx, [FORM]
        mov     edx, [edx]
        mov     edx, [edx + D_ADD]
        mov     eax, edx
        sub     eax, [BASE]
        mov     [ebp + FR_EIP], eax
        jmp     set_odd
from_jump:
        mov     edx, [FORM]
        mov     edx, [edx]
        mov     edx, [edx + D_ADD]
        mov     eax, edx
        sub     eax, [BASE]
        mov     [ebp + FR_EDX], eax
        jmp     set_odd

p_loadp:
        db      POKE, LOADP, RMW
        ROUND   p_loadp
        db      HALT
p_rmwp: db      POKE, RMWP
        ROUND   p_rmwp
        db      HALT
p_dive: db      ADD_, POKE, CMP_, DIV_
        ROUND   p_dive
        db      HALT
p_odd:  db      POKE, RMW, ODD, XORI, 5
        ROUND   p_odd
        db      HALT

vm_called:
        add     dword [SUM2], 5
        test    byte [SUM2], 3
        jz      .end
        inc     dword [SUM2]
.end:   ret

; ---- by 16-bit operands: EIP is cut ----
; From below 64 KiB to there: the upper half of the register, or what is behind the word, is nothing.
small:  mov     ecx, HOT
        xor     edx, edx
        xor     ebp, ebp
        mov     word [TABLE], LINEAR(.odd)
        mov     word [TABLE + 2], 0x1234
        mov     word [TABLE + 4], LINEAR(.even)
        mov     word [TABLE + 6], 0x4321
.loop:  mov     eax, ecx
        and     eax, 1
        o16 jmp [TABLE + eax * 4]
.even:  inc     edx
        mov     eax, LINEAR(.next) + 0x12340000
        jmp     ax
        ud2
.odd:   inc     ebp
        o16 jmp [.next_at]
        ud2
.next:  dec     ecx
        jnz     .loop
        EQ      edx, HOT / 2
        EQ      ebp, HOT / 2
        ret
.next_at:
        dw      LINEAR(.next)
