; tests/guests/crossing.asm -- unaligned and page-crossing accesses and instructions, #AC,
; accesses at the top of the address space.
; [SDM 3A 6.15 "Interrupt 17"], [SDM 1 3.3.7]
%include "common.inc"
%include "paging.inc"

; Two pages that lie apart physically, one behind the other in linear space
A       equ 0x200000
B       equ 0x201000
PHYS_A  equ 0x240000
PHYS_B  equ 0x280000
KEEP    equ P_P | P_W | P_U

main:
        fninit
        mov     eax, cr4
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax
        call    paging_on
        mov     dword [PTE(A)], PHYS_A | KEEP
        mov     dword [PTE(B)], PHYS_B | KEEP
        FLUSH
        mov     esi, 8
        mov     ebp, A + 0xffe
.round: mov     dword [A + 0xffc], 0x03020100
        mov     dword [B], 0x07060504
        mov     dword [B + 4], 0x0b0a0908
        mov     dword [A + 0xff8], 0xf3f2f1f0
        ; loads of every size and offset
        mov     eax, [A + 0xffd]
        EQ      eax, 0x04030201
        mov     eax, [A + 0xffe]
        EQ      eax, 0x05040302
        mov     eax, [A + 0xfff]
        EQ      eax, 0x06050403
        xor     eax, eax
        mov     ax, [A + 0xfff]
        EQ      eax, 0x0403
        movzx   eax, word [A + 0xfff]
        EQ      eax, 0x0403
        ; stores
        mov     dword [A + 0xffd], 0xaabbccdd
        EQ      [PHYS_A + 0xffc], 0xbbccdd00
        EQ      [PHYS_B], 0x070605aa
        mov     word [A + 0xfff], 0x1122
        EQ      [PHYS_A + 0xffc], 0x22ccdd00
        EQ      [PHYS_B], 0x07060511
        ; RMW, locked RMW, XCHG, CMPXCHG, XADD, BTS, shifts
        mov     dword [A + 0xffe], 1
        add     dword [A + 0xffe], 0x10000
        EQ      [A + 0xffe], 0x10001
        lock add dword [A + 0xffe], 0xff
        EQ      [A + 0xffe], 0x10100
        mov     eax, 0x55555555
        xchg    [ebp], eax
        EQ      eax, 0x10100
        EQ      [A + 0xffe], 0x55555555
        mov     eax, 0x55555555
        mov     ecx, 0x66666666
        lock cmpxchg [ebp], ecx
        EQ      [A + 0xffe], 0x66666666
        mov     eax, 1
        lock xadd [ebp], eax
        EQ      eax, 0x66666666
        EQ      [A + 0xffe], 0x66666667
        lock bts dword [ebp], 31
        EQ      [A + 0xffe], 0xe6666667
        rol     dword [A + 0xffe], 4
        EQ      [A + 0xffe], 0x6666667e
        mov     edx, 0
        mov     eax, 0x6666667e
        mov     edx, [A + 0x1002]
        mov     ebx, 0x12345678
        mov     ecx, 0x9abcdef0
        lock cmpxchg8b [ebp]
        EQ      [A + 0xffe], 0x12345678
        EQ      [B + 2], 0x9abcdef0
        ; PUSH, POP, CALL, RET over the boundary
        mov     edi, esp
        mov     esp, B + 2
        push    dword 0x31323334
        EQ      [A + 0xffe], 0x31323334
        pop     eax
        EQ      eax, 0x31323334
        push    dword [A + 0xffe]
        pop     dword [A + 0xffd]
        EQ      [A + 0xffd], 0x31323334
        call    .sub
        pushad
        popad
        mov     esp, edi
        ; x87 and SSE
        fld1
        fstp    qword [A + 0xffc]
        EQ      [PHYS_B], 0x3ff00000
        fld     qword [A + 0xffc]
        fstp    tword [A + 0xffb]
        fld     tword [A + 0xffb]
        fistp   dword [A + 0xffd]
        EQ      [A + 0xffd], 1
        mov     dword [A + 0xff8], 1
        mov     dword [A + 0xffc], 2
        mov     dword [B], 3
        mov     dword [B + 4], 4
        movups  xmm0, [A + 0xff8]
        movups  [A + 0xffb], xmm0
        EQ      [A + 0xffb], 1
        EQ      [A + 0xfff], 2
        EQ      [B + 3], 3
        EQ      [B + 7], 4
        movq    xmm1, [A + 0xffb]
        movq    [A + 0xffd], xmm1
        EQ      [A + 0x1001], 2
        ; aligned moves fault when they are not: #GP(0) whatever CPL and AM
        FAULTS  GP, 0, movaps xmm0, [A + 0xff8]
        FAULTS  GP, 0, movaps [A + 0xff8], xmm0
        FAULTS  GP, 0, addps xmm0, [A + 4]
        FAULTS  GP, 0, fxsave [A + 8]
        ; strings
        mov     dword [A + 0xffc], 0x03020100
        mov     dword [B], 0x07060504
        mov     edx, esi
        mov     esi, A + 0xffd
        mov     edi, A + 0x100
        cld
        lodsd
        EQ      eax, 0x04030201
        mov     esi, A + 0xffd
        mov     ecx, 3
        rep     movsw
        EQ      [A + 0x100], 0x04030201
        mov     esi, edx
        ; an instruction that lies over the boundary, as data just stored
        mov     dword [A + 0xffc], 0xb8909090   ; NOP NOP NOP MOV EAX,
        mov     dword [B], esi
        mov     byte [B + 4], 0xc3
        mov     eax, A + 0xffc
        call    eax
        EQ      eax, esi
        ; a 15-byte one
        mov     edi, A + 0xff4
        mov     ecx, 9
        mov     al, 0x2e
        rep     stosb
        mov     dword [A + 0xffd], 0x058136     ; SS ADD dword [imm32], imm32
        mov     dword [A + 0xffd + 3], DATA
        mov     dword [A + 0xffd + 7], 0x01010101
        mov     byte [A + 0xffd + 11], 0xc3
        mov     dword [DATA], 0x01010101
        mov     eax, A + 0xff8                  ; 15 bytes: 5 prefixes more
        sub     eax, 0
        mov     byte [A + 0xff8], 0x90
        lea     eax, [A + 0xff9]
        call    eax
        EQ      [DATA], 0x02020202
        dec     esi
        jnz     .round
        jmp     .round_end
.sub:   ret
.round_end:
        ; ---- a store whose second page faults is none: the first page stays clean [SDM 3A 4.8] ----
%macro CLEAN 3+
        MAP     A, PHYS_A | KEEP
        MAP     B, PHYS_B | %1
        PAGE_FAULTS %2, B, %3
        BITS_EQ [PTE(A)], P_D, 0
        BITS_EQ [PTE(B)], P_A | P_D, 0
%endmacro
        mov     esi, 8
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
.clean: mov     edi, A + 0xffe
        CLEAN   0, PF_W, mov [A + 0xffe], eax
        CLEAN   0, PF_W, mov [A + 0xfff], ax
        CLEAN   P_P | P_U, PF_W | PF_P, add [A + 0xffd], eax
        CLEAN   0, PF_W, lock xadd [A + 0xffd], eax
        CLEAN   0, PF_W, movups [A + 0xff8], xmm0
        CLEAN   P_P | P_U, PF_W | PF_P, fnstenv [A + 0xff0]
        CLEAN   0, PF_W, stosd
        CLEAN   P_P | P_U, PF_W | PF_P, fxsave [A + 0xfe0]
        ; the first faults: it is the one that is told, and the second is not touched
        MAP     A, 0
        MAP     B, PHYS_B | KEEP
        PAGE_FAULTS PF_W, A + 0xffe, mov [A + 0xffe], eax
        BITS_EQ [PTE(B)], P_D, 0
        ; neither does: both are dirty
        MAP     A, PHYS_A | KEEP
        mov     [A + 0xffe], eax
        BITS_EQ [PTE(A)], P_A | P_D, P_A | P_D
        BITS_EQ [PTE(B)], P_A | P_D, P_A | P_D
        dec     esi
        jnz     .clean
        ; ---- the top of linear space: wraps to 0 ----
        mov     dword [PAGE_DIR + 1023 * 4], (PAGE_TABLE + 0x1000) | KEEP
        mov     edi, PAGE_TABLE + 0x1000
        mov     ecx, 1024
        mov     eax, PHYS_A | KEEP
        rep     stosd
        FLUSH
        mov     eax, [0]
        push    eax
        mov     ebx, 0xfffffffe
        mov     esi, 6
.wrap:  mov     dword [PHYS_A + 0xffc], 0x11112222
        mov     dword [0], 0x33334444
        ; the segment's limit is 4 GiB - 1: an access that runs over it may fault or wrap, by
        ; processor [SDM 3A 5.3]; here only single bytes and ends are looked at
        mov     ax, [ebx]
        mov     al, [ebx + 1]
        mov     eax, [ebx - 2]
        EQ      eax, 0x11112222
        mov     eax, [ebx + 2]                  ; the address wraps
        EQ      eax, 0x33334444
        mov     ecx, 0x7fffffff
        mov     eax, [ebx + ecx * 2 + 4]        ; -2 - 2 + 4
        EQ      eax, 0x33334444
        dec     esi
        jnz     .wrap
        pop     dword [0]

        ; ---- #AC: CPL 3, CR0.AM, EFLAGS.AC ----
        mov     eax, cr0
        or      eax, CR0_AM
        mov     cr0, eax
        mov     esi, 6
.ac:    push    dword F_AC | 2
        popfd
        mov     eax, [DATA + 1]                 ; not at CPL 0
        push    dword 2
        popfd
        USER
        mov     eax, [DATA + 1]                 ; not without AC
        push    dword F_AC | 2
        popfd
        FAULTS  AC, 0, mov eax, [DATA + 1]
        FAULTS  AC, 0, mov eax, [DATA + 2]
        FAULTS  AC, 0, mov [DATA + 3], eax
        FAULTS  AC, 0, mov ax, [DATA + 1]
        FAULTS  AC, 0, inc word [DATA + 3]
        mov     al, [DATA + 1]
        mov     ax, [DATA + 2]
        mov     eax, [DATA + 4]
        FAULTS  AC, 0, fld qword [DATA + 4]
        fld     dword [DATA + 4]
        fstp    st0
        dec     esp
        FAULTS  AC, 0, push eax
        FAULTS  AC, 0, pop eax
        inc     esp
        mov     edi, DATA + 1
        mov     ecx, 2
        FAULTS  AC, 0, rep stosd
        EQ      ecx, 2
        EQ      [ex_cs], USER_CODE
        BITS_EQ [ex_eflags], F_AC, F_AC
        FAULTS  GP, 0, movaps xmm0, [DATA + 4]  ; not #AC: 16-byte alignment is #GP
        ; page fault and misalignment: #AC comes first [SDM 3A table 6-2]
        FAULTS  AC, 0, mov eax, [0x800001]
        push    dword 2
        popfd
        mov     eax, [DATA + 1]
        SUPERVISOR
        ; the handler ran without AC? IRET brings it back; interrupt gates leave AC alone, and
        ; CPL 0 is never checked
        dec     esi
        jnz     .ac
        mov     eax, cr0
        and     eax, ~CR0_AM
        mov     cr0, eax
        call    paging_off
        ret
