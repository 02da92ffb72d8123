; tests/guests/real.asm -- real mode: segments, address wrap, limits, interrupts through the IVT,
; big real mode, 16-bit strings and stacks, 32-bit operands and addresses.
; [SDM 3A 20.1 "Real-Address Mode"], [SDM 3A 9.9]
%include "common.inc"

SCRATCH equ 0x5000              ; segment; linear 0x50000
FLAT16  equ FREE                ; data, 4 GiB, for big real mode

vector_ equ vars                ; what the IVT handlers have seen
at_ip   equ vars + 4
at_cs   equ vars + 8
at_flags equ vars + 12
resume16 equ vars + 16
count16 equ vars + 20

; %2.. faults with vector %1 (its own 16-bit handler), IP is that of the instruction
%macro FAULTS16 2+
        mov     word [cs:resume16], %%next
        mov     word [cs:count16], 0
%%insn: %2
        FAIL16
%%next: cmp     word [cs:count16], 1
        je      %%one
        FAIL16
%%one:  cmp     word [cs:vector_], %1
        je      %%vector
        FAIL16
%%vector:
        cmp     word [cs:at_ip], %%insn
        je      %%ip
        FAIL16
%%ip:
%endmacro
%macro IVT 1                    ; vector -> its stub
        mov     word [%1 * 4], ivt%1
        mov     word [%1 * 4 + 2], 0
%endmacro
%macro CHECK16 2                ; register or memory, value: no flags are needed behind
        cmp     %1, %2
        je      %%ok
        FAIL16
%%ok:
%endmacro

main:
        SET_DESC FLAT16, 0, 0xfffff, A_DATA, G_4K
        TO_REAL
        IVT     0
        IVT     1
        IVT     3
        IVT     4
        IVT     5
        IVT     6
        IVT     7
        IVT     12
        IVT     13
        IVT     0x60
        mov     ax, SCRATCH
        mov     ds, ax
        mov     cx, 6
again:  push    cx
        ; ---- offsets wrap at 64 KiB in addresses, not in accesses ----
        mov     byte [0xffff], 0x11
        mov     byte [0], 0x22
        mov     bx, 0xfffe
        mov     al, [bx + 1]
        CHECK16 al, 0x11
        mov     al, [bx + 2]
        CHECK16 al, 0x22
        mov     si, 0x8001
        mov     bx, 0x8000
        mov     al, [bx + si - 2]
        CHECK16 al, 0x11
        mov     al, [bx + si - 1]
        CHECK16 al, 0x22
        mov     bx, 0xffff
        FAULTS16 13, mov ax, [bx]
        FAULTS16 13, mov [bx], ax
        FAULTS16 13, inc word [bx]
        FAULTS16 13, add ax, [bx]
        mov     bx, 0xfffd
        FAULTS16 13, mov eax, [bx]
        FAULTS16 13, les ax, [bx]
        mov     eax, 0x10000
        FAULTS16 13, mov al, [eax]              ; 32-bit addresses obey the limit
        mov     eax, -1
        FAULTS16 13, mov al, [eax]
        mov     eax, 0x1fffe
        FAULTS16 13, mov al, [eax - 0x8000]
        mov     al, [eax - 0xffff]
        CHECK16 al, 0x11
        ; the stack: #SS
        mov     di, sp
        mov     bp, 0xffff
        FAULTS16 12, mov ax, [bp]
        FAULTS16 12, mov [bp], ax
        ; at SP = 1 a PUSH of a word faults with #SS, which needs the stack too: shutdown.
        ; So SP = 2, where a dword does not fit and the handler's three words wrap round. That
        ; is tested with a stack of its own.
        mov     ax, SCRATCH
        mov     ss, ax
        mov     sp, 2
        push    word 0x1234
        CHECK16 word [0], 0x1234
        CHECK16 sp, 0
        push    word 0x5678                     ; wraps
        CHECK16 sp, 0xfffe
        CHECK16 word [0xfffe], 0x5678
        mov     sp, 0
        push    dword 0x9abcdef0
        CHECK16 sp, 0xfffc
        pop     eax
        CHECK16 eax, 0x9abcdef0
        CHECK16 sp, 0
        mov     sp, 2
        call    .wrap_sub
        CHECK16 sp, 2
        xor     ax, ax
        mov     ss, ax
        mov     sp, di
        jmp     .wrapped
.wrap_sub:
        ret
.wrapped:
        ; PUSH SP pushes the old value; PUSHA, POPA
        mov     ax, sp
        push    sp
        pop     bx
        CHECK16 ax, bx
        mov     cx, 0x4321
        pusha
        mov     cx, 0
        mov     ax, 0
        popa
        CHECK16 cx, 0x4321
        CHECK16 ax, bx
        ; the upper half of ESP is no part of it
        mov     ebx, esp
        or      esp, 0x12340000
        push    ax
        call    .esp_sub
        pop     ax
        mov     eax, esp
        and     esp, 0xffff
        shr     eax, 16
        CHECK16 ax, 0x1234
        CHECK16 esp, ebx
        jmp     .esp_end
.esp_sub:
        ret
.esp_end:
        ; ---- strings: SI and DI wrap, CX counts 16 bits ----
        cld
        mov     ax, SCRATCH
        mov     es, ax
        mov     di, 0xfffe
        mov     ecx, 0xffff0004                 ; CX = 4
        mov     al, 0x5a
        rep     stosb
        CHECK16 di, 2
        CHECK16 ecx, 0xffff0000
        CHECK16 word [0], 0x5a5a
        CHECK16 word [0xfffe], 0x5a5a
        mov     word [0xfffe], 0x1111
        mov     si, 0xfffe
        mov     di, 0x100
        mov     cx, 2
        rep     movsw
        CHECK16 si, 2
        CHECK16 word [0x100], 0x1111
        CHECK16 word [0x102], 0x5a5a
        mov     di, 0xffff
        mov     cx, 2
        FAULTS16 13, rep stosw
        CHECK16 cx, 2
        std
        mov     di, 1
        mov     cx, 3
        rep     stosb
        cld
        CHECK16 di, 0xfffe
        mov     esi, 0x100                      ; 32-bit addresses with a prefix
        mov     edi, 0x200
        mov     ecx, 2
        a32 rep movsw
        CHECK16 edi, 0x204
        CHECK16 word [0x202], 0x5a5a

        ; ---- segment registers are numbers; 1 MiB and above (A20 is on) ----
        mov     ax, 0xffff
        mov     es, ax
        mov     byte [es:0x10], 0x77            ; linear 0x100000
        mov     byte [es:0xffff], 0x78          ; linear 0x10ffef
        CHECK16 byte [es:0x10], 0x77
        mov     ax, 0x1234
        push    ax
        pop     fs
        mov     bx, fs
        CHECK16 bx, 0x1234
        mov     byte [cs:0x700], 0x99           ; CS may be written here
        xor     ax, ax
        mov     gs, ax
        CHECK16 byte [gs:0x700], 0x99
        lds     si, [cs:.pointer]
        mov     ax, ds
        CHECK16 ax, SCRATCH
        CHECK16 si, 0x0102
        jmp     .pointer_end
.pointer: dw    0x0102, SCRATCH
.pointer_end:
        ; ---- far transfers ----
        call    0x800:(far_sub - 0x8000)        ; another CS for the same code
        CHECK16 bx, 0x800
        call    far [cs:.far_pointer]
        CHECK16 bx, 0x700
        jmp     0x801:(.other_cs - 0x8010)
.far_pointer: dw far_sub - 0x7000, 0x700
.other_cs:
        jmp     0:.cs_zero
.cs_zero:
        push    dword 0                         ; 32-bit far return in real mode: CS from a dword
        push    dword .far32
        o32 retf
.far32:
        ; ---- interrupts ----
        mov     word [cs:count16], 0
        mov     word [cs:resume16], 0
        sti
        stc
        int     0x60
        cli
        CHECK16 word [cs:vector_], 0x60
        mov     ax, [cs:at_flags]
        and     ax, F_IF | F_CF | F_TF
        CHECK16 ax, F_IF | F_CF
        mov     ax, [cs:inside]
        and     ax, F_IF | F_TF
        CHECK16 ax, 0
        mov     word [cs:resume16], .after_int3
        int3
.after_int3:
        CHECK16 word [cs:vector_], 3
        CHECK16 word [cs:at_ip], .after_int3
        mov     word [cs:resume16], .after_into
        mov     al, 0x7f
        inc     al
        into
.after_into:
        CHECK16 word [cs:vector_], 4
        xor     dx, dx
        mov     ax, 1
        xor     bx, bx
        FAULTS16 0, div bx
        mov     word [0x300], 5
        mov     word [0x302], 6
        mov     ax, 7
        FAULTS16 5, bound ax, [0x300]
        FAULTS16 6, ud2
        FAULTS16 6, lldt ax
        FAULTS16 6, ltr ax
        FAULTS16 6, sldt ax
        FAULTS16 6, str ax
        FAULTS16 6, verr ax
        FAULTS16 6, lar ax, bx
        FAULTS16 6, lsl ax, bx
        FAULTS16 6, {db 0x63, 0xc0}             ; ARPL
        FAULTS16 6, {db 0xf0, 0x90}             ; LOCK NOP
        FAULTS16 13, sysenter
        FAULTS16 13, sysexit
        ; privileged ones are allowed
        clts
        smsw    ax
        lmsw    ax
        mov     eax, cr0
        mov     cr0, eax
        ; the IVT's limit
        lidt    [cs:.short_ivt]
        FAULTS16 13, int 0x60
        lidt    [cs:ivt_pointer]
        jmp     .ivt_end
.short_ivt:
        dw      0x60 * 4 + 2
        dd      0
.ivt_end:
        ; TF in real mode
        mov     word [cs:count16], 0
        mov     word [cs:resume16], 0
        push    word F_TF | 2
        popf
        nop
.tf1:   push    word 2
        popf
        CHECK16 word [cs:count16], 3
        ; ---- 16-bit jumps wrap IP's upper half away ----
        mov     eax, 0x12340000 + .low
        jmp     ax
.low:   mov     eax, 0x10000
        FAULTS16 13, jmp eax                    ; a 32-bit one beyond the limit faults

        ; ---- big real mode: limits of a protected-mode visit stay ----
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     .pe
.pe:    mov     bx, FLAT16
        mov     es, bx
        mov     fs, bx
        and     al, ~CR0_PE
        mov     cr0, eax
        jmp     .unreal
.unreal:
        xor     ax, ax
        mov     es, ax                          ; base 0, limit still 4 GiB
        mov     ax, 0x10
        mov     fs, ax
        mov     ebx, 0x234567
        mov     dword [es:ebx], 0xfeedbeef
        mov     eax, [fs:ebx - 0x100]
        CHECK16 eax, 0xfeedbeef
        mov     edi, 0x300000
        mov     ecx, 4
        mov     eax, 0x0badcafe
        a32 rep stosd
        CHECK16 dword [dword es:0x30000c], 0x0badcafe
        FAULTS16 13, mov al, [ebx]              ; DS has its 64 KiB
        mov     bx, 0xffff                      ; 16-bit addresses still wrap
        mov     al, [es:bx + 1]
        ; back to 64 KiB
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     .pe2
.pe2:   mov     bx, DATA16
        mov     es, bx
        mov     fs, bx
        and     al, ~CR0_PE
        mov     cr0, eax
        jmp     .real2
.real2: xor     ax, ax
        mov     es, ax
        mov     ebx, 0x20000
        FAULTS16 13, mov al, [es:ebx]

        ; ---- self-modifying 16-bit code ----
        mov     cx, 10
        xor     dx, dx
.smc:   mov     [cs:.imm], cl
        add     dx, byte 0
.imm    equ     $ - 1
        loop    .smc
        CHECK16 dx, 55
        ; a hot loop with 16-bit addressing and far data
        mov     cx, 300
        xor     bx, bx
        xor     ax, ax
.sum:   mov     [bx], cx
        add     ax, [bx]
        add     bx, 2
        loop    .sum
        CHECK16 ax, (300 * 301 / 2) & 0xffff
        CHECK16 bx, 600
        pop     cx
        dec     cx
        jnz     again
        FROM_REAL
        ret

bits 16
far_sub:
        mov     bx, cs
        retf

%macro STUB16 1
ivt%1:  mov     word [cs:vector_], %1
        jmp     ivt_common
%endmacro
        STUB16  0
        STUB16  1
        STUB16  3
        STUB16  4
        STUB16  5
        STUB16  6
        STUB16  7
        STUB16  12
        STUB16  13
        STUB16  0x60
inside  equ vars + 24
; No error code in real mode. Resumes at resume16 when it is set.
ivt_common:
        push    bp
        push    ax
        mov     bp, sp
        pushf
        pop     word [cs:inside]
        inc     word [cs:count16]
        mov     ax, [bp + 4]
        mov     [cs:at_ip], ax
        mov     ax, [bp + 6]
        mov     [cs:at_cs], ax
        mov     ax, [bp + 8]
        mov     [cs:at_flags], ax
        mov     ax, [cs:resume16]
        test    ax, ax
        jz      .plain
        mov     [bp + 4], ax
.plain: mov     word [cs:resume16], 0
        pop     ax
        pop     bp
        iret
bits 32
