; tests/guests/exceptions.asm -- every exception that 32-bit protected mode without paging can
; raise: vector, error code, saved EIP, and registers as they were.
; [SDM 3A 6.15 "Exception and Interrupt Reference"]
%include "common.inc"

main:
        ; ---- #DE 0: divide error, a fault, no error code ----
        mov     edx, 0x11111111
        mov     eax, 0x22222222
        mov     ecx, 0
        mov     esi, esp
        FAULTS DE, 0, div ecx
        EQ      [ex_regs + FR_EAX], 0x22222222
        EQ      [ex_regs + FR_EDX], 0x11111111
        EQ      [ex_cs], CODE32
        ; three dwords: EFLAGS, CS, EIP, on the same stack
        add     dword [ex_frame], 12
        EQ      [ex_frame], esi
        ; RF is set in the image that a fault pushes [SDM 3B 18.3.1.1], IF and TF are as they were
        BITS_EQ [ex_eflags], F_RF | F_TF | F_IF | F_VM | 2, F_RF | 2
        mov     eax, 0x80000000
        cdq
        mov     ecx, -1
        FAULTS DE, 0, idiv ecx
        mov     ax, 0x8000
        mov     cl, 0xff
        FAULTS DE, 0, idiv cl
        mov     eax, 0x1000
        mov     cl, 0x10
        FAULTS DE, 0, div cl
        EQ      [ex_regs + FR_EAX], 0x1000
        FAULTS DE, 0, aam 0
        mov     dword [DATA], 1
        mov     edx, 1
        mov     eax, 0
        FAULTS DE, 0, div dword [DATA]
        mov     dx, 0xffff
        FAULTS DE, 0, div word [DATA]

        ; ---- #BP 3, #OF 4: traps; #BR 5: fault ----
        TRAPS   BP_, int3
        EQ      [ex_error], 0
        BITS_EQ [ex_eflags], F_RF, 0
        TRAPS   BP_, {db 0xcd, 3}
        mov     eax, 0x7fffffff
        mov     dword [ex_count], 0
        test    eax, eax                ; OF = 0
        into
        EQ      [ex_count], 0
        mov     eax, 0x7fffffff
        mov     dword [ex_resume], .into_end
        inc     eax
        into
.into_end:
        EQ      [ex_count], 1
        EQ      [ex_vector], OF_
        EQ      [ex_eip], .into_end
        BITS_EQ [ex_eflags], F_OF | F_RF, F_OF
        mov     dword [DATA], -5
        mov     dword [DATA + 4], 10
        mov     eax, -6
        FAULTS BR, 0, bound eax, [DATA]
        mov     eax, 11
        FAULTS BR, 0, bound eax, [DATA]
        mov     eax, 10
        bound   eax, [DATA]
        mov     eax, -5
        bound   eax, [DATA]

        ; ---- #UD 6 ----
        FAULTS UD, 0, ud2
        FAULTS UD, 0, {db 0x0f, 0xff, 0xc0}         ; UD0
        FAULTS UD, 0, {db 0x0f, 0xb9, 0xc0}         ; UD1
        FAULTS UD, 0, {db 0x8d, 0xc0}               ; LEA with a register
        FAULTS UD, 0, {db 0x62, 0xc0}               ; BOUND with a register (no EVEX here)
        FAULTS UD, 0, {db 0xc4, 0xc0}               ; LES with a register... VEX without AVX
        FAULTS UD, 0, {db 0x8e, 0xc8}               ; MOV CS, AX
        FAULTS UD, 0, {db 0x8e, 0xf0}               ; MOV seg 6, AX
        FAULTS UD, 0, {db 0x0f, 0x20, 0xc8}         ; MOV EAX, CR1
        FAULTS UD, 0, {db 0xfe, 0xf8}               ; group 4 /7
        FAULTS UD, 0, {db 0xff, 0xf8}               ; group 5 /7
        FAULTS UD, 0, {db 0xff, 0xe8}               ; JMP far with a register
        FAULTS UD, 0, {db 0xff, 0xd8}               ; CALL far with a register
        FAULTS UD, 0, {db 0x0f, 0x01, 0xf8}         ; SWAPGS outside 64-bit mode
        FAULTS UD, 0, {db 0x0f, 0x05}               ; SYSCALL with EFER.SCE = 0
        FAULTS UD, 0, {db 0x0f, 0xaa}               ; RSM outside SMM

        ; ---- #GP 13 ----
        mov     eax, 0xffff
        ; selector beyond the GDT, wrong types, null
        FAULTS GP, 0xfffc, mov ds, ax
        FAULTS GP, 0xfffc, mov fs, ax
        xor     eax, eax
        FAULTS GP, 0, mov ss, ax
        mov     eax, CODE32
        FAULTS GP, CODE32, mov ss, ax
        mov     eax, TSS_SEL
        FAULTS GP, TSS_SEL, mov es, ax
        mov     eax, DATA32 | 1
        FAULTS GP, DATA32, mov ss, ax               ; RPL != CPL
        FAULTS GP, 0, jmp 0:0
        FAULTS GP, DATA32, jmp DATA32:0
        FAULTS GP, USER_CODE & ~3, jmp USER_CODE:0  ; DPL 3 from CPL 0, not conforming
        FAULTS GP, 0x1f8, call 0x1f8:0              ; an all-zero descriptor
        mov     eax, 0x28
        FAULTS GP, 0x28, ltr ax                     ; busy
        mov     eax, DATA32
        FAULTS GP, DATA32, ltr ax
        FAULTS GP, DATA32, lldt ax
        mov     eax, 4
        FAULTS GP, 4, ltr ax                        ; in the LDT
        FAULTS GP, 4, mov ds, ax                    ; no LDT
        xor     eax, eax
        FAULTS GP, 0, ltr ax
        mov     eax, cr0
        and     eax, ~CR0_PE
        or      eax, CR0_PG
        FAULTS GP, 0, mov cr0, eax                  ; PG without PE
        mov     eax, cr0
        or      eax, 0x20000000                     ; NW without CD
        FAULTS GP, 0, mov cr0, eax
        mov     eax, 0x80000000
        FAULTS GP, 0, mov cr4, eax                  ; a reserved bit
        mov     ecx, 0x12345678
        FAULTS GP, 0, rdmsr
        FAULTS GP, 0, wrmsr
        FAULTS GP, VECTORS * 8 + 2, int VECTORS     ; beyond the IDT's limit
        mov     dword [IDT + 0x48 * 8], 0
        mov     dword [IDT + 0x48 * 8 + 4], 0
        FAULTS GP, 0x48 * 8 + 2, int 0x48           ; no gate type
        ; 16 bytes
        FAULTS GP, 0, {times 15 db 0x2e}            ; and the opcode
        ; through CS: not writable
        FAULTS GP, 0, mov [cs:DATA], eax
        FAULTS GP, 0, inc dword [cs:DATA]

        ; ---- #NP 11 ----
        SET_DESC FREE, 0, 0xfffff, A_DATA & ~0x80, G_4K | D_32
        SET_DESC FREE + 8, 0, 0xfffff, A_CODE & ~0x80, G_4K | D_32
        mov     eax, FREE
        FAULTS NP, FREE, mov ds, ax
        FAULTS NP, FREE, mov gs, ax
        FAULTS NP, FREE + 8, jmp FREE + 8:0
        FAULTS NP, FREE + 8, call FREE + 8:0
        SET_GATE 0x48, CODE32, main, A_INT32 & ~0x80
        FAULTS NP, 0x48 * 8 + 2, int 0x48
        SET_GATE 0x48, FREE + 8, main, A_INT32
        FAULTS NP, FREE + 8, int 0x48               ; not EXT: a software interrupt
        SET_DESC FREE + 16, 0, 7, A_LDT & ~0x80, 0
        mov     eax, FREE + 16
        FAULTS NP, FREE + 16, lldt ax
        SET_DESC FREE + 16, 0, 0x67, A_TSS32 & ~0x80, 0
        FAULTS NP, FREE + 16, ltr ax
        ; a hardware exception on its way through a bad gate: EXT = 1 [SDM 3A 6.13]; #UD is
        ; benign, so no double fault
        SET_GATE UD, FREE + 8, main, A_INT32
        FAULTS NP, (FREE + 8) | 1, ud2
        SET_GATE UD, CODE32, main, A_INT32 & ~0x80
        FAULTS NP, UD * 8 + 2 + 1, ud2
        mov     dword [IDT + UD * 8 + 4], 0
        FAULTS GP, UD * 8 + 2 + 1, ud2
        RESET_GATE UD

        ; ---- #SS 12 ----
        SET_DESC FREE, 0, 0xfffff, A_DATA & ~0x80, G_4K | D_32
        mov     eax, FREE
        FAULTS SS_, FREE, mov ss, ax
        ; a stack of 0x1000 bytes: through the recorder's own level 0 stack only after it is back
        SET_DESC FREE, 0, 0xefff, A_DATA, D_32
        mov     ebp, 0xefff
        mov     esi, esp
        mov     eax, FREE
        mov     ss, ax
        mov     esp, esi
        FAULTS SS_, 0, mov eax, [ebp]
        mov     eax, DATA32
        mov     ss, ax

        ; ---- #NM 7 ----
        mov     eax, cr0
        or      eax, CR0_TS
        mov     cr0, eax
        FAULTS NM, 0, fninit
        FAULTS NM, 0, fld1
        mov     eax, cr0
        and     eax, ~CR0_TS
        or      eax, CR0_EM
        mov     cr0, eax
        FAULTS NM, 0, fninit
        and     eax, ~CR0_EM
        mov     cr0, eax

        ; ---- #AC 17: CPL 3 only, error code 0 ----
        or      eax, CR0_AM
        mov     cr0, eax
        ret
