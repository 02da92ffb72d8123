; tests/guests/precise.asm -- faults in the middle of hot code: every register and flag is as the
; instructions before the fault left it, and nothing of the faulting instruction or of later ones
; is seen. [SDM 3A 6.5, 6.6 "Program or Task Restart"]
%include "common.inc"
%include "paging.inc"

HOLE    equ 0x200000
KEEP    equ P_P | P_W | P_U
flags   equ vars + 0x20
ARITH   equ F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF

; Runs %4.. at the end of a block in which every register was just computed, with the arithmetic
; flags that instruction %2 leaves with EAX = 1 or what %1 puts there: case %1 of .expected below.
; %4 must fault with vector %3.
%macro PRECISE 4+
        mov     ebp, 4                  ; within one pass: hot
%%again:
        mov     dword [ex_hook], precise_hook
        mov     dword [ex_count], 0
        mov     dword [ex_resume], %%next
        mov     dword [flags], %1
        mov     ecx, 0
        mov     edx, 0x33333333
        mov     ebx, 0x0badf00d
        mov     esi, 0x50607080
        mov     edi, HOLE
        lea     edi, [edi + ecx * 4 + 0x10]
        add     esi, 0x01010101
        not     edx
        xor     ebx, 0x0000ffff
        mov     eax, (0x7fffffff * ((%1) == 2)) | (-1 * ((%1) == 1)) | ((%1) == 3)
        %2
        mov     eax, 0x10203040
%%insn: %4
        ; not reached: these would destroy everything
        xor     eax, eax
        add     ebx, 1
        mov     esi, 5
        FAIL
%%next: EQ      [ex_vector], %3
        EQ      [ex_eip], %%insn
        dec     ebp
        jnz     %%again
        mov     dword [ex_hook], 0
%endmacro

; The same with four kinds of flags before it.
%macro ALL 2+
        PRECISE 0, {add eax, 1}, %1, %2         ; 0 + 1: none
        PRECISE 1, {add eax, 2}, %1, %2         ; -1 + 2: CF AF
        PRECISE 2, {inc eax}, %1, %2            ; OF SF AF PF; CF 0 from XOR
        PRECISE 3, {sub eax, 1}, %1, %2         ; ZF PF
%endmacro

main:
        fninit
        mov     eax, cr4
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax
        call    paging_on
        MAP     HOLE, 0

        ALL     PF, mov eax, [edi]
        ALL     PF, mov [edi], ebx
        ALL     PF, add [edi], eax              ; writes all flags, had it worked
        ALL     PF, add eax, [edi]
        ALL     PF, adc eax, [edi]
        ALL     PF, cmp [edi], ecx
        ALL     PF, inc dword [edi]
        ALL     PF, shl dword [edi], cl
        ALL     PF, xadd [edi], eax
        ALL     PF, cmpxchg [edi], ebx
        ALL     PF, xchg [edi], eax
        ALL     PF, imul eax, [edi], 5
        ALL     PF, mul dword [edi]
        ALL     PF, movzx eax, byte [edi]
        ALL     PF, push dword [edi]
        ALL     PF, pop dword [edi]
        ALL     PF, test [edi], eax
        ALL     PF, stosd
        ALL     PF, movsd
        ALL     PF, cmpxchg8b [edi]
        ALL     PF, bts [edi], ecx
        ALL     PF, setc [edi]
        ALL     PF, cmovz eax, [edi]
        ALL     PF, call [edi]
        ALL     PF, jmp [edi]
        ALL     PF, fadd dword [edi]
        ALL     PF, fild dword [edi]
        ALL     PF, movups xmm0, [edi]
        ALL     PF, movd [edi], xmm0
        ALL     DE, div ecx
        ALL     DE, idiv ecx
        ALL     DE, div cl
        ALL     DE, idiv ch
        ALL     DE, idiv cx
        ALL     DE, div byte [zero]
        ALL     DE, idiv word [zero]
        ALL     DE, div dword [zero + ecx * 4]
        ALL     DE, aam 0
        ALL     UD, ud2
        ALL     GP, mov ds, bx
        ALL     GP, int 0x50
        ALL     GP, mov [cs:DATA], eax

        ; x87 and SSE state is precise too
        fninit
        mov     ebp, 6
.float: fld1
        fldpi
        mov     dword [ex_hook], 0
        mov     eax, 0x40000000
        movd    xmm0, eax
        addss   xmm0, xmm0
        FAULTS  PF, 0, fadd dword [HOLE]
        FAULTS  PF, 2, fistp dword [HOLE]
        FAULTS  PF, 0, addss xmm0, [HOLE]
        FAULTS  PF, 0, cvtpi2ps xmm0, [HOLE]    ; no switch to MMX either
        fnstsw  ax
        BITS_EQ eax, 0x3800, 0x3000             ; two on the stack
        fstp    st0
        fistp   dword [DATA]
        EQ      [DATA], 1
        movd    eax, xmm0
        EQ      eax, 0x40800000
        dec     ebp
        jnz     .float
        call    paging_off
        ret

; What PRECISE has left in the registers.
precise_hook:
        EQ      [ebp + FR_EAX], 0x10203040
        EQ      [ebp + FR_ECX], 0
        EQ      [ebp + FR_EDX], 0xcccccccc
        EQ      [ebp + FR_EBX], 0x0bad0ff2
        EQ      [ebp + FR_ESI], 0x51617181
        EQ      [ebp + FR_EDI], HOLE + 0x10
        mov     ebx, [ebp + FR_EFLAGS]
        and     ebx, ARITH
        mov     eax, [flags]
        mov     ecx, [.expected + eax * 4]
        cmp     ebx, ecx
        je      .ok
        FAIL
.ok:    mov     eax, [ex_resume]
        mov     [ebp + FR_EIP], eax
        and     dword [ebp + FR_EFLAGS], ~F_RF
        ret
.expected:
        dd      0
        dd      F_CF | F_AF
        dd      F_OF | F_SF | F_AF | F_PF
        dd      F_ZF | F_PF
zero:   dd      0
