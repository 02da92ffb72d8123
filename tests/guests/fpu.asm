; tests/guests/fpu.asm -- x87, MMX and SSE exceptions: unmasked ones and where they are taken, TS,
; EM, MP, CR4.OSFXSR and OSXMMEXCPT, lazy switching, saved pointers.
; [SDM 1 8.6, 8.7, 11.5], [SDM 3A 2.5, 6.15 "Interrupt 16", "Interrupt 19", 12.1, 13.1]
%include "common.inc"

IMAGE   equ DATA + 0x200        ; FXSAVE, 16-byte aligned
ENV     equ DATA + 0x100

%macro CR0_SET 1
        mov     eax, cr0
        or      eax, %1
        mov     cr0, eax
%endmacro
%macro CR0_CLEAR 1
        mov     eax, cr0
        and     eax, ~(%1)
        mov     cr0, eax
%endmacro
%macro CONTROL 1                ; x87 control word
        mov     word [vars], %1
        fldcw   [vars]
%endmacro
%macro MXCSR 1
        mov     dword [vars], %1
        ldmxcsr [vars]
%endmacro

main:
        CR0_CLEAR CR0_EM | CR0_TS
        CR0_SET CR0_NE | CR0_MP
        mov     eax, cr4
        and     eax, ~(CR4_OSFXSR | CR4_OSXMMEXCPT)
        mov     cr4, eax
        fninit
        ; ---- SSE without OSFXSR is #UD; MMX and x87 are not concerned ----
        FAULTS  UD, 0, addps xmm0, xmm1
        FAULTS  UD, 0, movaps xmm0, [DATA]
        FAULTS  UD, 0, ldmxcsr [DATA]
        movq    mm0, [DATA]
        emms
        mov     eax, cr4
        or      eax, CR4_OSFXSR
        mov     cr4, eax
        MXCSR   0x1f80
        addps   xmm0, xmm1

        ; ---- TS: #NM for all; EM: #NM for x87, #UD for MMX and SSE ----
        mov     esi, 6
.ts:    fld1                            ; hot
        fstp    st0
        movq    mm0, mm1
        emms
        xorps   xmm2, xmm2
        CR0_SET CR0_TS
        FAULTS  NM, 0, fld1
        FAULTS  NM, 0, fnstcw [DATA]
        FAULTS  NM, 0, fnstsw ax
        FAULTS  NM, 0, fnclex
        FAULTS  NM, 0, movq mm0, mm1
        FAULTS  NM, 0, emms
        FAULTS  NM, 0, xorps xmm2, xmm2
        FAULTS  NM, 0, movaps [IMAGE], xmm1
        FAULTS  NM, 0, fxsave [IMAGE]
        FAULTS  NM, 0, fxrstor [IMAGE]
        FAULTS  NM, 0, ldmxcsr [DATA]
        FAULTS  NM, 0, stmxcsr [DATA]
        FAULTS  NM, 0, fwait            ; MP and TS
        CR0_CLEAR CR0_MP
        fwait
        CR0_SET CR0_MP
        ; what needs no state runs
        prefetchnta [DATA]
        sfence
        movnti  [DATA + 0x20], eax
        ; a fault on the operand comes after #NM
        FAULTS  NM, 0, movaps xmm0, [DATA + 4]
        clts
        CR0_SET CR0_EM
        FAULTS  NM, 0, fld1
        FAULTS  NM, 0, fnclex
        FAULTS  UD, 0, movq mm0, mm1
        FAULTS  UD, 0, xorps xmm2, xmm2
        FAULTS  UD, 0, ldmxcsr [DATA]
        FAULTS  NM, 0, fxsave [IMAGE]
        fwait
        CR0_SET CR0_TS
        FAULTS  UD, 0, movq mm0, mm1    ; EM before TS
        CR0_CLEAR CR0_EM | CR0_TS
        dec     esi
        jnz     .ts

        ; ---- lazy switching: the handler clears TS, the instruction runs with its state ----
        fninit
        mov     esi, 6
        mov     dword [DATA], 0
.lazy:  mov     dword [ex_count], 0
        mov     dword [ex_hook], nm_hook
        fld1
        fiadd   dword [DATA]
        fistp   dword [DATA]
        movd    xmm3, esi
        CR0_SET CR0_TS
        movd    eax, xmm3
        mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], NM
        EQ      eax, esi
        dec     esi
        jnz     .lazy
        EQ      [DATA], 6

        ; ---- #MF: at the next waiting instruction, not at the one that caused it ----
        mov     esi, 6
.mf:    fninit
        CONTROL 0x37b                   ; zero divide unmasked
        fld1
        fldz
        mov     dword [ex_count], 0
        fdivp   st1, st0                ; divides 1 by 0: pending
        nop
        EQ      [ex_count], 0
        fnstsw  ax                      ; no wait
        BITS_EQ eax, 0x8084, 0x8084     ; B, ES, ZE
        FAULTS  MF, 0, fwait
        FAULTS  MF, 0, fld1
        FAULTS  MF, 0, fstp dword [DATA]
        FAULTS  MF, 0, movq mm0, mm1
        FAULTS  MF, 0, emms
        xorps   xmm0, xmm0              ; SSE does not look
        fnstenv [ENV]
        mov     ecx, cr0
        fnclex
        fwait
        ; operands are as before the division: 1 and 0
        fnstsw  ax
        BITS_EQ eax, 0x80ff, 0
        fcompp
        fnstsw  ax
        BITS_EQ eax, 0x4500, 0x0100     ; ST(0) = 0 < 1
        ; invalid: stack underflow
        fninit
        CONTROL 0x37e
        fstp    st0
        FAULTS  MF, 0, fwait
        fnstsw  ax
        BITS_EQ eax, 0x41, 0x41         ; IE, SF
        fnclex
        ; a store that is inexact: the store is done, then pending
        fninit
        CONTROL 0x35f                   ; precision unmasked
        fldpi
        mov     dword [DATA + 8], 0
        fst     dword [DATA + 8]
        EQ      [DATA + 8], 0x40490fdb
        FAULTS  MF, 0, fwait
        fnclex
        ; unmasking a flag that is set makes it pending
        fninit
        fld1
        fldz
        fdivp   st1, st0
        CONTROL 0x37b
        FAULTS  MF, 0, fwait
        fninit
        ; masked ones never trap
        fld1
        fldz
        fdivp   st1, st0
        fwait
        ; the MF handler may clear and go on: the waiting instruction runs then
        fninit
        CONTROL 0x37b
        fld1
        fldz
        fdivp   st1, st0
        mov     dword [ex_hook], mf_hook
        mov     dword [ex_count], 0
        fldz
        mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], MF
        fnstsw  ax
        BITS_EQ eax, 0x3800, 0x2800     ; three values on the stack
        fninit
        dec     esi
        jnz     .mf

        ; ---- the stack of registers, saved and restored ----
        mov     esi, 4
.save:  fninit
        fldpi
        fld1
        movd    xmm7, esi
        fxsave  [IMAGE]
        fninit
        pxor    xmm7, xmm7
        fxrstor [IMAGE]
        fistp   dword [DATA]
        EQ      [DATA], 1
        movd    eax, xmm7
        EQ      eax, esi
        fnsave  [DATA + 0x400]
        fnstsw  ax
        BITS_EQ eax, 0xffff, 0
        frstor  [DATA + 0x400]
        fistp   dword [DATA]
        EQ      [DATA], 3
        ; a bad MXCSR in the image: #GP(0)
        mov     dword [IMAGE + 24], 0xffff0000
        FAULTS  GP, 0, fxrstor [IMAGE]
        mov     dword [IMAGE + 24], 0x1f80
        mov     dword [DATA], 0x10000
        FAULTS  GP, 0, ldmxcsr [DATA]
        dec     esi
        jnz     .save

        ; ---- SIMD floating point: #UD without OSXMMEXCPT, #XM with; a fault before the result ----
        mov     esi, 6
        mov     dword [DATA + 16], 0x3f800000   ; 1.0
        mov     dword [DATA + 32], 0
.xm:    movss   xmm0, [DATA + 16]
        movss   xmm1, [DATA + 32]
        MXCSR   0x1f80
        divss   xmm0, xmm1              ; masked: infinity
        movd    eax, xmm0
        EQ      eax, 0x7f800000
        stmxcsr [vars]
        BITS_EQ [vars], 0x3f, 4
        MXCSR   0x1d80                  ; zero divide unmasked
        movss   xmm0, [DATA + 16]
        FAULTS  UD, 0, divss xmm0, xmm1
        mov     eax, cr4
        or      eax, CR4_OSXMMEXCPT
        mov     cr4, eax
        FAULTS  XM, 0, divss xmm0, xmm1
        FAULTS  XM, 0, divss xmm0, [DATA + 32]
        stmxcsr [vars]
        BITS_EQ [vars], 0x3f, 4
        movd    eax, xmm0
        EQ      eax, 0x3f800000         ; unchanged
        ; the flags that are set do not trap by themselves
        MXCSR   0x1d80 | 4
        addss   xmm0, xmm0
        ; a comparison with a NaN: invalid; EFLAGS unchanged
        MXCSR   0x1f00
        mov     dword [DATA + 48], 0x7f800001
        stc
        FAULTS  XM, 0, ucomiss xmm0, [DATA + 48]
        BITS_EQ [ex_eflags], F_CF, F_CF
        FAULTS  XM, 0, cvttss2si eax, [DATA + 48]
        FAULTS  XM, 0, sqrtps xmm0, [DATA + 48]
        ; precision
        MXCSR   0x0f80
        mov     dword [DATA + 64], 0x40400000   ; 3.0
        movss   xmm0, [DATA + 16]
        FAULTS  XM, 0, divss xmm0, [DATA + 64]
        MXCSR   0x1f80
        mov     eax, cr4
        and     eax, ~CR4_OSXMMEXCPT
        mov     cr4, eax
        dec     esi
        jnz     .xm
        ret

nm_hook:
        clts
        ret
mf_hook:
        fnclex
        ret
