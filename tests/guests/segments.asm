; tests/guests/segments.asm -- limits and types of segments at every kind of operand, expand-down
; and 16-bit segments, conforming and execute-only code, the LDT, LAR/LSL/VERR/VERW/ARPL.
; [SDM 3A 5.3 "Limit Checking", 5.4 "Type Checking", 5.5 "Privilege Levels"]
%include "common.inc"

SMALL   equ FREE                ; DATA .. DATA + 0x0fff, writable
DOWN    equ FREE + 0x08         ; base DATA, expand-down, limit 0x0fff, 32-bit: 0x1000..0xffffffff
DOWN16  equ FREE + 0x10         ; the same, 16-bit: 0x1000..0xffff
RDONLY  equ FREE + 0x18         ; read-only, flat
XONLY   equ FREE + 0x20         ; execute-only code
READABLE equ FREE + 0x28        ; readable code, flat
LDT_SEL equ FREE + 0x30
CODELIM equ FREE + 0x38         ; code with a limit inside `limited`
LOWDOWN equ FREE + 0x40         ; expand-down stack
C16     equ FREE + 0x48         ; 16-bit code, base 0, 64 KiB
SMALL3  equ FREE + 0x50         ; SMALL and DOWN16 for CPL 3
DOWN3   equ FREE + 0x58
LOCAL   equ 4                   ; first entry of the LDT

LDT_AT  equ DATA + 0x8000

main:
        mov     ax, DATA32
        mov     es, ax
        mov     ds, ax
        SET_DESC SMALL, DATA, 0xfff, A_DATA, D_32
        SET_DESC DOWN, DATA, 0xfff, A_DATA | 4, D_32
        SET_DESC DOWN16, DATA, 0xfff, A_DATA | 4, 0
        SET_DESC RDONLY, 0, 0xfffff, A_DATA & ~2, D_32 | G_4K
        SET_DESC XONLY, 0, 0xfffff, A_CODE & ~2, D_32 | G_4K
        SET_DESC READABLE, 0, 0xfffff, A_CODE, D_32 | G_4K
        SET_DESC LDT_SEL, LDT_AT, 15, A_LDT, 0
        SET_DESC LOWDOWN, 0, 0xfff, A_DATA | 4, D_32
        SET_DESC SMALL3, DATA, 0xfff, A_DATA | DPL3, D_32
        SET_DESC DOWN3, DATA, 0xfff, A_DATA | 4 | DPL3, 0
        SET_DESC C16, 0, 0xffff, A_CODE, 0
        mov     eax, SMALL
        mov     fs, ax
        mov     dword [DATA + 0xffc], 0x11223344
        mov     dword [DATA + 0x1000], 0x55667788
        fninit

        ; ---- expand-up, byte grain: the last byte counts ----
        mov     ebx, 0xffc
        mov     esi, 6
.hot:   mov     eax, [fs:ebx]                   ; hot first, then over the limit
        EQ      eax, 0x11223344
        mov     [fs:ebx], eax
        FAULTS  GP, 0, mov eax, [fs:ebx + 1]
        FAULTS  GP, 0, mov [fs:ebx + 1], eax
        FAULTS  GP, 0, mov eax, [fs:ebx + 4]
        FAULTS  GP, 0, mov [fs:ebx + 4], al
        mov     al, [fs:ebx + 3]
        mov     ax, [fs:ebx + 2]
        FAULTS  GP, 0, mov ax, [fs:ebx + 3]
        FAULTS  GP, 0, mov eax, [fs:-1]
        FAULTS  GP, 0, mov eax, [fs:-4]
        FAULTS  GP, 0, inc dword [fs:ebx + 1]
        FAULTS  GP, 0, add [fs:ebx + 1], eax
        FAULTS  GP, 0, add eax, [fs:ebx + 1]
        FAULTS  GP, 0, cmp [fs:ebx + 1], eax
        FAULTS  GP, 0, test dword [fs:ebx + 1], 1
        FAULTS  GP, 0, not dword [fs:ebx + 1]
        FAULTS  GP, 0, neg word [fs:ebx + 3]
        FAULTS  GP, 0, mul dword [fs:ebx + 1]
        FAULTS  GP, 0, div dword [fs:ebx + 1]   ; before #DE can be known
        FAULTS  GP, 0, imul eax, [fs:ebx + 1], 3
        FAULTS  GP, 0, shl dword [fs:ebx + 1], 1
        FAULTS  GP, 0, rcr dword [fs:ebx + 1], cl
        FAULTS  GP, 0, shld [fs:ebx + 1], eax, 3
        FAULTS  GP, 0, xchg [fs:ebx + 1], eax
        FAULTS  GP, 0, xadd [fs:ebx + 1], eax
        FAULTS  GP, 0, cmpxchg [fs:ebx + 1], eax
        FAULTS  GP, 0, cmpxchg8b [fs:ebx]
        FAULTS  GP, 0, movzx eax, word [fs:ebx + 3]
        FAULTS  GP, 0, movsx eax, byte [fs:ebx + 4]
        FAULTS  GP, 0, setz [fs:ebx + 4]
        FAULTS  GP, 0, cmovz eax, [fs:ebx + 1]
        FAULTS  GP, 0, push dword [fs:ebx + 1]
        FAULTS  GP, 0, pop dword [fs:ebx + 1]
        FAULTS  GP, 0, call [fs:ebx + 1]
        FAULTS  GP, 0, jmp [fs:ebx + 1]
        FAULTS  GP, 0, jmp far [fs:ebx]         ; 6 bytes
        FAULTS  GP, 0, call far [fs:ebx]
        FAULTS  GP, 0, lds eax, [fs:ebx]
        FAULTS  GP, 0, lss eax, [fs:ebx]
        FAULTS  GP, 0, bound eax, [fs:ebx]
        FAULTS  GP, 0, lgdt [fs:ebx]
        FAULTS  GP, 0, sidt [fs:ebx]
        FAULTS  GP, 0, mov ds, [fs:ebx + 3]
        FAULTS  GP, 0, mov [fs:ebx + 3], ds
        FAULTS  GP, 0, lmsw [fs:ebx + 3]
        FAULTS  GP, 0, fld dword [fs:ebx + 1]
        FAULTS  GP, 0, fld qword [fs:ebx]
        FAULTS  GP, 0, fld tword [fs:ebx]
        FAULTS  GP, 0, fnstcw [fs:ebx + 3]
        FAULTS  GP, 0, fnsave [fs:ebx - 100]
        FAULTS  GP, 0, fnstenv [fs:ebx - 20]
        FAULTS  GP, 0, fldenv [fs:ebx - 20]
        fldz
        FAULTS  GP, 0, fstp qword [fs:ebx]
        fstp    st0
        mov     eax, 4
        FAULTS  GP, 0, {db 0x64, 0xd7}          ; XLAT: FS:EBX + AL
        mov     eax, 32
        FAULTS  GP, 0, bt [fs:ebx], eax         ; a bit beyond the dword
        FAULTS  GP, 0, bts [fs:ebx], eax
        dec     esi
        jnz     .hot

        ; ---- string instructions: registers stop at the element ----
        mov     eax, SMALL
        mov     es, ax
        mov     edx, 4
.strings:
        mov     edi, 0xff8
        mov     ecx, 10
        mov     eax, 0x33
        FAULTS  GP, 0, rep stosd
        EQ      edi, 0x1000
        EQ      ecx, 8
        mov     edi, 0xffe
        mov     ecx, 10
        FAULTS  GP, 0, rep stosd
        EQ      ecx, 10
        mov     esi, DATA
        mov     edi, 0xffc
        mov     ecx, 10
        FAULTS  GP, 0, rep movsb
        EQ      ecx, 6
        EQ      esi, DATA + 4
        mov     edi, 0
        mov     esi, 0xffa
        mov     ecx, 8
        FAULTS  GP, 0, {fs rep movsw}
        EQ      ecx, 5
        EQ      esi, 0x1000
        mov     edi, 0xfff
        mov     ecx, 3
        xor     eax, eax
        mov     byte [DATA + 0xfff], 0
        FAULTS  GP, 0, repe scasb
        EQ      ecx, 2
        FAULTS  GP, 0, insb
        std
        mov     edi, 1
        mov     ecx, 5
        FAULTS  GP, 0, rep stosb
        EQ      edi, -1
        EQ      ecx, 3
        cld
        dec     edx
        jnz     .strings
        mov     eax, DATA32
        mov     es, ax

        ; ---- expand-down ----
        mov     eax, DOWN
        mov     fs, ax
        mov     esi, 6
.down:  mov     eax, [fs:0x1000]
        EQ      eax, 0x55667788
        FAULTS  GP, 0, mov eax, [fs:0xfff]
        FAULTS  GP, 0, mov eax, [fs:0xffc]
        FAULTS  GP, 0, mov al, [fs:0xfff]
        FAULTS  GP, 0, mov [fs:0], al
        mov     al, [fs:0x1000]
        mov     al, [fs:0x10000]
        FAULTS  GP, 0, mov eax, [fs:0xfffffffe] ; beyond 4 GiB
        dec     esi
        jnz     .down
        mov     eax, DOWN16
        mov     fs, ax
        mov     esi, 6
.down16:
        mov     eax, [fs:0x1000]
        EQ      eax, 0x55667788
        mov     eax, [fs:0xfffc]
        FAULTS  GP, 0, mov eax, [fs:0xfffd]
        FAULTS  GP, 0, mov al, [fs:0x10000]
        FAULTS  GP, 0, mov al, [fs:0xfff]
        dec     esi
        jnz     .down16

        ; ---- types ----
        mov     eax, RDONLY
        mov     fs, ax
        mov     ds, ax
        mov     esi, 6
.rdonly:
        mov     eax, [fs:DATA]
        mov     eax, [DATA]
        mov     [ss:ex_count], dword 0
        mov     dword [ss:ex_resume], .ro1
        mov     [DATA], eax
        ud2
.ro1:   mov     dword [ss:ex_resume], .ro2
        or      dword [fs:DATA], 0
        ud2
.ro2:   mov     dword [ss:ex_resume], .ro3
        mov     [es:DATA], eax                  ; this one may
        mov     dword [ss:ex_resume], .ro3
        xchg    [DATA], eax
        ud2
.ro3:   mov     ebx, [ss:ex_count]
        mov     ecx, [ss:ex_vector]
        dec     esi
        jz      .rdonly_end
        cmp     ebx, 3
        je      .rdonly
.rdonly_end:
        mov     eax, DATA32
        mov     ds, ax
        EQ      ebx, 3
        EQ      ecx, GP
        EQ      [ex_error], 0
        ; readable code in a data register: no writes; execute-only code cannot be loaded
        mov     eax, READABLE
        mov     fs, ax
        mov     eax, [fs:DATA]
        FAULTS  GP, 0, mov [fs:DATA], eax
        mov     eax, XONLY
        FAULTS  GP, XONLY, mov fs, ax
        mov     eax, READABLE
        FAULTS  GP, READABLE, mov ss, ax
        mov     eax, RDONLY
        FAULTS  GP, RDONLY, mov ss, ax
        ; CS override: READABLE may be read, XONLY not
        mov     esi, 6
.cs:    mov     eax, [cs:DATA]
        jmp     XONLY:.xonly
.xonly: FAULTS  GP, 0, mov eax, [cs:DATA]
        EQ      [ex_cs], XONLY
        jmp     CODE32:.back
.back:  dec     esi
        jnz     .cs
        ; null selectors load, and fault when used
        xor     eax, eax
        mov     fs, ax
        mov     gs, ax
        mov     esi, 6
.null:  FAULTS  GP, 0, mov eax, [fs:0]
        FAULTS  GP, 0, mov [gs:0], eax
        FAULTS  GP, 0, {fs lodsb}
        dec     esi
        jnz     .null
        mov     eax, 3
        mov     fs, ax                          ; any RPL
        mov     ecx, fs
        EQ      ecx, 3

        ; ---- the stack: #SS(0) ----
        mov     edi, esp
        mov     ecx, 6
.stack: mov     ebp, 0xffd
        mov     eax, [ebp]                      ; EBP means SS, which is flat here
        ; a user stack of that size, so that the handler has its own
        USER
        mov     eax, SMALL3 | 3
        mov     ss, ax
        mov     esp, 0x1000
        FAULTS  SS_, 0, mov eax, [ebp]
        FAULTS  SS_, 0, mov [ebp], eax
        FAULTS  SS_, 0, inc dword [ebp]
        FAULTS  SS_, 0, mov eax, [esp]
        FAULTS  SS_, 0, mov eax, [ss:esi + 0x1000]
        FAULTS  SS_, 0, pop eax
        EQ      [ex_esp], 0x1000
        FAULTS  SS_, 0, ret
        FAULTS  SS_, 0, popfd
        FAULTS  SS_, 0, popad
        FAULTS  SS_, 0, retf
        FAULTS  SS_, 0, iretd
        mov     esp, 0xffe
        FAULTS  SS_, 0, pop eax
        mov     esp, 2
        FAULTS  SS_, 0, push eax
        FAULTS  SS_, 0, pushfd
        FAULTS  SS_, 0, call .stack
        FAULTS  SS_, 0, enter 0, 0
        FAULTS  SS_, 0, push ds
        FAULTS  SS_, 0, push dword [DATA]
        EQ      [ex_esp], 2
        mov     esp, 0x10
        FAULTS  SS_, 0, pushad
        EQ      [ex_esp], 0x10
        mov     ebp, 0x1000
        FAULTS  SS_, 0, leave
        EQ      [ex_esp], 0x10
        mov     ebp, 0xffd
        ; expand-down stack with a 16-bit pointer: SP wraps
        mov     eax, DOWN3 | 3
        mov     ss, ax
        mov     esp, 0x1004
        push    eax
        FAULTS  SS_, 0, push eax
        EQ      [ex_esp], 0x1000
        mov     esp, 0x1fffc                    ; SP = 0xfffc
        pop     eax
        EQ      esp, 0x10000                    ; the upper half stays
        SUPERVISOR
        dec     ecx
        jnz     .stack
        EQ      esp, edi

        ; ---- code: running into the limit; jumps beyond it ----
        SET_DESC CODELIM, LINEAR(limited), limited_end - limited - 1, A_CODE, D_32
        mov     esi, 6
.code:  mov     dword [ex_resume], 0
        mov     dword [ex_hook], limit_hook
        xor     ebx, ebx
        jmp     CODELIM:0
.code_back:
        mov     dword [ex_hook], 0
        EQ      [ex_vector], GP
        EQ      [ex_error], 0
        EQ      [ex_cs], CODELIM
        EQ      [ex_eip], limited_end - limited
        EQ      ebx, 3
        FAULTS  GP, 0, jmp CODELIM:limited_end - limited
        FAULTS  GP, 0, call CODELIM:0x1000
        dec     esi
        jnz     .code
        ; an instruction that the limit cuts
        SET_DESC CODELIM, LINEAR(limited), 4, A_CODE, D_32
        mov     esi, 6
.cut:   mov     dword [ex_hook], limit_hook
        xor     ebx, ebx
        jmp     CODELIM:0
.cut_dummy:
        dec     esi
        jnz     .cut
        mov     dword [ex_hook], 0
        ; a jump out of the segment faults where it is, before it changes anything
        SET_DESC CODELIM, LINEAR(jumps), jumps_end - jumps - 1, A_CODE, D_32
        mov     esi, 6
.jumps: mov     dword [ex_hook], jump_hook
        xor     ebx, ebx
        mov     ecx, 5
        mov     edx, jumps_end - jumps
        jmp     CODELIM:0
.jumps_pop:
        add     esp, 4                          ; what PUSH EDX has left
        mov     dword [ex_hook], 0
        EQ      ebx, 6
        EQ      ecx, 5
        dec     esi
        jnz     .jumps

        ; ---- the LDT ----
        mov     eax, LDT_SEL
        lldt    ax
        sldt    cx
        EQ      ecx, LDT_SEL
        mov     dword [LDT_AT], 0x0000ffff
        mov     dword [LDT_AT + 4], 0x00cf9200
        mov     dword [LDT_AT + 8], 0x00000fff
        mov     dword [LDT_AT + 12], 0x00409204        ; base DATA = 0x40000
        mov     eax, LOCAL + 8
        mov     fs, ax
        mov     eax, [fs:0xffc]
        EQ      eax, [DATA + 0xffc]
        BITS_EQ [LDT_AT + 12], 0x100, 0x100            ; accessed
        mov     eax, LOCAL + 16
        FAULTS  GP, LOCAL + 16, mov fs, ax
        mov     eax, LOCAL | 3
        FAULTS  GP, LOCAL, mov fs, ax                  ; RPL 3 > DPL 0
        xor     eax, eax
        lldt    ax                                     ; none
        mov     eax, LOCAL
        FAULTS  GP, LOCAL, mov fs, ax
        USER
        FAULTS  GP, 0, lldt ax
        FAULTS  GP, 0, ltr ax
        FAULTS  GP, 0, lgdt [0]
        FAULTS  GP, 0, lidt [0]
        FAULTS  GP, 0, lmsw ax
        FAULTS  GP, 0, clts
        FAULTS  GP, 0, invlpg [0]
        FAULTS  GP, 0, invd
        FAULTS  GP, 0, wbinvd
        FAULTS  GP, 0, mov eax, cr0
        FAULTS  GP, 0, mov cr3, eax
        FAULTS  GP, 0, rdmsr
        FAULTS  GP, 0, wrmsr
        mov     eax, DATA32
        FAULTS  GP, DATA32, mov ds, ax                 ; DPL 0 < CPL 3
        FAULTS  GP, DATA32, mov ss, ax
        mov     eax, USER_DATA & ~3
        mov     fs, ax                                 ; RPL 0 for data: fine
        FAULTS  GP, USER_DATA & ~3, mov ss, ax         ; for the stack: not
        mov     eax, 0x1234
        smsw    ax                                     ; these four are allowed (no UMIP)
        sldt    ax
        str     ax
        EQ      eax, TSS_SEL
        sgdt    [DATA + 0x100]
        EQ      [DATA + 0x102], GDT
        SUPERVISOR

        ; ---- LAR, LSL, VERR, VERW, ARPL ----
        mov     ecx, DATA32
        lar     eax, ecx
        jz      .lar1
        FAIL
.lar1:  and     eax, ~0x000f0000                       ; these bits are undefined
        EQ      eax, 0x00c09300
        lsl     eax, ecx
        EQ      eax, 0xffffffff
        mov     ecx, DOWN
        lsl     eax, ecx
        EQ      eax, 0xfff
        mov     ecx, TSS_SEL
        lar     eax, ecx
        and     eax, 0xff00
        EQ      eax, 0x8b00
        lsl     eax, ecx
        EQ      eax, 0x67
        mov     eax, 0x5555
        xor     ecx, ecx
        lar     eax, ecx
        jnz     .lar2
        FAIL
.lar2:  EQ      eax, 0x5555                            ; unchanged
        mov     ecx, 0xfff8
        lsl     eax, ecx
        jnz     .lar3
        FAIL
.lar3:  mov     ecx, RDONLY
        verr    cx
        jz      .ver1
        FAIL
.ver1:  verw    cx
        jnz     .ver2
        FAIL
.ver2:  mov     ecx, XONLY
        verr    cx
        jnz     .ver3
        FAIL
.ver3:  USER
        mov     ecx, DATA32
        verr    cx
        jnz     .ver4
        FAIL
.ver4:  lar     eax, ecx
        jnz     .ver5
        FAIL
.ver5:  mov     ecx, USER_DATA
        verw    cx
        jz      .ver6
        FAIL
.ver6:  SUPERVISOR
        mov     eax, 0x10
        mov     ecx, 0x23
        arpl    ax, cx
        jz      .arpl1
        FAIL
.arpl1: EQ      eax, 0x13
        arpl    ax, cx
        jnz     .arpl2
        FAIL
.arpl2: EQ      eax, 0x13

        ; ---- 16-bit code in protected mode: SP, offsets, addresses of 16 bits ----
        mov     esi, 6
.c16:   jmp     C16:code16
code16_back:
        EQ      eax, 0xcafe1235
        EQ      ebx, 0x12340000
        dec     esi
        jnz     main.c16
        ret

bits 16
code16: mov     eax, 0xcafe1234
        inc     ax
        mov     ebx, 0x1234ffff
        add     bx, 1                           ; a carry does not reach the upper half
        mov     cx, [DATA_LOW]
        mov     di, 0xfff0
        lea     edx, [di + 0x20]                ; 16-bit addresses wrap
        cmp     edx, 0x10
        jne     .bad
        push    word 0x1111                     ; the stack is still 32-bit
        add     esp, 2
        call    .sub
        jmp     dword CODE32:code16_back
.sub:   ret
.bad:   FAIL16
bits 32
DATA_LOW equ 0x500

align 16
limited:
        inc     ebx
        inc     ebx
        inc     ebx
        nop
        mov     eax, eax
limited_end:
        ud2

align 16
jumps:  jmp     near jumps_end          ; each is skipped by the handler
        cmp     eax, eax
        jz      near jumps_end
        loop    jumps_end
        call    jumps_end
        jmp     edx
        push    edx
        ret
        int     V_SUPERVISOR            ; not reached: the sixth fault is the last
jumps_end:
        nop
        ud2

; Skip the instruction: EBX counts; the sixth ends the round.
jump_hook:
        and     dword [ebp + FR_EFLAGS], ~F_RF
        cmp     dword [ex_vector], GP
        jne     .bad
        cmp     dword [ex_error], 0
        jne     .bad
        inc     dword [ebp + FR_EBX]
        mov     eax, [ebp + FR_EBX]
        mov     eax, [.eips + eax * 4 - 4]
        cmp     [ebp + FR_EIP], eax
        jne     .bad
        mov     eax, [ebp + FR_EBX]
        mov     eax, [.next + eax * 4 - 4]
        mov     [ebp + FR_EIP], eax
        cmp     dword [ebp + FR_EBX], 6
        jne     .end
        mov     dword [ebp + FR_CS], CODE32
        add     dword [ebp + FR_EDX], 0
.end:   ret
.bad:   FAIL
.eips:  dd 0, 7, 13, 15, 20, 23
.next:  dd 5, 13, 15, 20, 22, main.jumps_pop

limit_hook:
        and     dword [ebp + FR_EFLAGS], ~F_RF
        mov     dword [ebp + FR_CS], CODE32
        cmp     dword [ex_eip], 4
        je      .cut
        mov     dword [ebp + FR_EIP], main.code_back
        ret
.cut:   mov     dword [ebp + FR_EIP], main.cut_dummy
        ret
