; tests/guests/v86.asm -- virtual-8086 mode under a small monitor: entry by IRETD, exit by
; exceptions and gates, what IOPL decides, the mode extensions (VME), port permissions.
; [SDM 3A 20.2, 20.3], tables 20-1 and 20-2
%include "common.inc"

; The 8086 program lives at VSEG:0 (copied there), its stack in VSTACK, IVT at 0.
VSEG    equ 0x4000              ; linear 0x40000
VSTACK  equ 0x5000              ; linear 0x50000
STACK0  equ KERNEL_STACK - 0x1000
BIGTSS  equ 0x20000             ; a TSS with redirection map and I/O map
BIGTSS_SEL equ FREE
CONF    equ FREE + 8
DPL3C   equ FREE + 0x10

seen    equ vars

; Run the 16-bit code at label %1 with EFLAGS %2 (VM is added). Comes back behind it when the
; program executes INT 0x4e through the IDT or the monitor's hook calls v86_leave.
%macro V86 2
        mov     [kernel_esp], esp
        mov     dword [back_to], %%back
        push    dword 0x3333            ; GS
        push    dword 0x4444            ; FS
        push    dword VSEG              ; DS
        push    dword 0x6666            ; ES
        push    dword VSTACK            ; SS
        push    dword 0x1000            ; ESP
        push    dword (%2) | F_VM | 2
        push    dword VSEG
        push    dword %1 - v86_code
        iretd
%%back:
%endmacro
back_to equ vars + 0x40

; The exception of the last V86 run: vector, error code, IP
%macro V86_FAULT 3
        EQ      [ex_vector], %1
        EQ      [ex_error], %2
        EQ      [ex_eip], %3 - v86_code
        EQ      [ex_cs], VSEG
        BITS_EQ [ex_eflags], F_VM, F_VM
%endmacro

main:
        mov     esi, v86_code
        mov     edi, VSEG * 16
        mov     ecx, (v86_code_end - v86_code + 3) / 4
        rep     movsd
        ; an IVT whose handlers are in the program: n -> VSEG:ivt_handler
        mov     ecx, 256
        xor     edi, edi
        mov     eax, (VSEG << 16) | (ivt_handler - v86_code)
        rep     stosd
        mov     word [0x60 * 4], ivt_plain - v86_code   ; without PUSHF
        mov     edi, BIGTSS
        mov     ecx, 0x2200 / 4
        xor     eax, eax
        rep     stosd
        mov     dword [BIGTSS + 4], STACK0
        mov     dword [BIGTSS + 8], DATA32
        mov     word [BIGTSS + 0x66], 0x88              ; I/O map behind 32 bytes of redirection
        mov     edi, BIGTSS + 0x88
        mov     ecx, 0x2001 / 4
        mov     eax, -1
        rep     stosd
        mov     byte [BIGTSS + 0x88 + 0x2000], 0xff
        mov     byte [BIGTSS + 0x88 + 0x70 / 8], 0xfe   ; port 0x70 allowed
        mov     byte [BIGTSS + 0x88 + 0x80 / 8], 0xf0   ; 0x80..0x83 allowed
        SET_DESC BIGTSS_SEL, BIGTSS, 0x88 + 0x2000, A_TSS32, 0
        mov     eax, BIGTSS_SEL
        ltr     ax
        mov     eax, cr4
        and     eax, ~CR4_VME
        mov     cr4, eax

        ; ---- entry: segments, flags; exit by #UD: the nine-dword frame, null data segments ----
        mov     dword [ex_hook], leave_hook
        V86     v_ud, F_IOPL | F_CF
        V86_FAULT UD, 0, v_ud.at
        EQ      [ex_frame], STACK0 - 36
        EQ      [ex_esp], 0xffe                         ; one word was pushed
        EQ      [ex_ss], VSTACK
        EQ      [STACK0 - 16], 0x6666                   ; ES DS FS GS above SS
        EQ      [STACK0 - 12], VSEG
        EQ      [STACK0 - 8], 0x4444
        EQ      [STACK0 - 4], 0x3333
        BITS_EQ [ex_eflags], F_IOPL | F_CF | F_IF | F_NT | F_RF, F_IOPL | F_CF | F_RF
        BITS_EQ [STACK0 - 36 - 12], 0xffff, 0           ; DS and ES, as the recorder has pushed
        BITS_EQ [STACK0 - 36 - 16], 0xffff, 0           ; them: null
        BITS_EQ [ex_regs + FR_EAX], 0xffff, 0x1234              ; the program's work
        BITS_EQ [ex_regs + FR_EBX], 0xffff, 0x55aa
        BITS_EQ [VSEG * 16 + 0x8000], 0xffff, 0x4711
        BITS_EQ [VSTACK * 16 + 0xffe], 0xffff, 0x1234

        ; ---- IOPL 3, no VME: CLI, STI, PUSHF, POPF, IRET work; INT n goes through the IDT ----
        V86     v_iopl3, F_IOPL
        V86_FAULT UD, 0, v_iopl3.at
        BITS_EQ [ex_regs + FR_EAX], 0xffff, 0x3202      ; PUSHF after STI: IOPL 3, IF
        BITS_EQ [ex_regs + FR_EBX], 0xffff, 0x3002      ; after CLI
        BITS_EQ [ex_regs + FR_ECX], 0xffff, 0x3086      ; POPF; IOPL cannot be changed
        BITS_EQ [ex_eflags], F_IOPL | F_VM, F_IOPL | F_VM
        ; INT n with a gate of DPL 3: through the IDT to CPL 0, nothing read from the IVT
        SET_GATE 0x40, CODE32, v86_gate, A_INT32 | DPL3
        V86     v_int, F_IOPL
        EQ      [seen], 0x40
        EQ      [seen + 4], v_int.after - v86_code
        ; DPL 0: #GP(vector * 8 + 2)
        SET_GATE 0x40, CODE32, v86_gate, A_INT32
        V86     v_int, F_IOPL
        V86_FAULT GP, 0x40 * 8 + 2, v_int
        ; a gate to a conforming segment or to DPL 3 code: #GP(selector)
        SET_DESC CONF, 0, 0xfffff, A_CODE | 4, G_4K | D_32
        SET_GATE 0x40, CONF, v86_gate, A_INT32 | DPL3
        V86     v_int, F_IOPL
        V86_FAULT GP, CONF, v_int
        SET_GATE 0x40, USER_CODE, v86_gate, A_INT32 | DPL3
        V86     v_int, F_IOPL
        V86_FAULT GP, USER_CODE & ~3, v_int
        SET_GATE 0x40, CODE32, v86_gate, A_INT32 | DPL3

        ; ---- IOPL 0, no VME: each of them is #GP(0), INT3 and INTO are not IOPL-sensitive ----
        V86     v_cli, 0
        V86_FAULT GP, 0, v_cli
        V86     v_sti, 0
        V86_FAULT GP, 0, v_sti
        V86     v_pushf, 0
        V86_FAULT GP, 0, v_pushf
        V86     v_pushfd, 0
        V86_FAULT GP, 0, v_pushfd
        V86     v_popf, 0
        V86_FAULT GP, 0, v_popf
        V86     v_iret, 0
        V86_FAULT GP, 0, v_iret
        V86     v_int, 0
        V86_FAULT GP, 0, v_int
        V86     v_int3, 0
        EQ      [ex_vector], BP_
        EQ      [ex_eip], v_int3.after - v86_code
        V86     v_into, F_OF
        EQ      [ex_vector], OF_
        V86     v_hlt, F_IOPL
        V86_FAULT GP, 0, v_hlt
        V86     v_lgdt, F_IOPL
        V86_FAULT GP, 0, v_lgdt
        V86     v_cr0, F_IOPL
        V86_FAULT GP, 0, v_cr0
        V86     v_clts, F_IOPL
        V86_FAULT GP, 0, v_clts
        ; not recognized in v8086 mode: #UD
        V86     v_lldt, F_IOPL
        V86_FAULT UD, 0, v_lldt
        V86     v_sldt, F_IOPL
        V86_FAULT UD, 0, v_sldt
        V86     v_lar, F_IOPL
        V86_FAULT UD, 0, v_lar
        V86     v_verr, F_IOPL
        V86_FAULT UD, 0, v_verr
        V86     v_arpl, F_IOPL
        V86_FAULT UD, 0, v_arpl
        ; limits: 64 KiB whatever
        V86     v_limit, F_IOPL
        V86_FAULT GP, 0, v_limit.at
        V86     v_stack_limit, F_IOPL
        V86_FAULT SS_, 0, v_stack_limit.at

        ; ---- ports: only the bitmap counts, not IOPL ----
        V86     v_out70, 0
        V86_FAULT UD, 0, v_out70.end
        V86     v_out70, F_IOPL
        V86_FAULT UD, 0, v_out70.end
        V86     v_out71, F_IOPL
        V86_FAULT GP, 0, v_out71
        V86     v_outw70, F_IOPL
        V86_FAULT GP, 0, v_outw70
        V86     v_outd80, 0
        V86_FAULT UD, 0, v_outd80.end
        V86     v_insb, 0
        V86_FAULT GP, 0, v_insb.at

        ; ---- a monitor that reflects INT to the program, as they do ----
        mov     dword [ex_hook], reflect_hook
        mov     dword [seen], 0
        V86     v_reflect, 0
        EQ      [seen], 20                              ; INTs reflected, with IRET emulated
        BITS_EQ [ex_regs + FR_ECX], 0xffff, 0
        BITS_EQ [ex_regs + FR_EDX], 0xffff, 20          ; counted by the program's handler
        mov     dword [ex_hook], leave_hook

        ; ---- VME ----
        mov     eax, 1
        cpuid
        test    edx, 2
        jz      .no_vme
        mov     eax, cr4
        or      eax, CR4_VME
        mov     cr4, eax
        ; IOPL 3: as before but for INT n, which the redirection map sends to the program
        mov     dword [seen], 0
        V86     v_vme_int, F_IOPL | F_IF
        V86_FAULT UD, 0, v_vme_int.at
        BITS_EQ [ex_regs + FR_EDX], 0xffff, 5           ; by its own handler
        BITS_EQ [ex_regs + FR_EBX], F_IF | F_TF, 0      ; IF cleared there
        BITS_EQ [ex_eflags], F_IF, F_IF                 ; IRET has brought it back
        ; IOPL 0: CLI, STI work on VIF
        V86     v_vme_flags, F_IF
        V86_FAULT UD, 0, v_vme_flags.at
        BITS_EQ [ex_eflags], F_IF | F_VIF, F_IF         ; IF untouched, VIF clear after CLI
        BITS_EQ [ex_regs + FR_EAX], F_IF | F_IOPL, F_IF | F_IOPL        ; PUSHF after STI shows VIF
        BITS_EQ [ex_regs + FR_EBX], F_IF | F_IOPL, F_IOPL               ; after CLI, and IOPL 3
        BITS_EQ [ex_regs + FR_ECX], F_IF | F_IOPL, F_IF | F_IOPL        ; POPF of IF sets VIF
        V86     v_vme_int, 0
        V86_FAULT UD, 0, v_vme_int.at
        BITS_EQ [ex_regs + FR_EDX], 0xffff, 5
        BITS_EQ [ex_eflags], F_VIF | F_IF, 0
        ; the flags that a redirected INT pushes: IF is VIF, IOPL is 3
        V86     v_vme_int, F_VIF
        BITS_EQ [ex_regs + FR_ESI], F_IF | F_IOPL, F_IF | F_IOPL
        BITS_EQ [ex_eflags], F_VIF, F_VIF               ; set again by IRET
        ; STI with VIP: #GP(0)
        V86     v_sti, F_VIP
        V86_FAULT GP, 0, v_sti
        V86     v_vme_popf_tf, F_VIF
        V86_FAULT GP, 0, v_vme_popf_tf.at
        V86     v_vme_popf_if, F_VIP
        V86_FAULT GP, 0, v_vme_popf_if.at
        V86     v_pushfd, 0                             ; 32-bit forms still fault
        V86_FAULT GP, 0, v_pushfd
        ; a vector that the map keeps: IOPL 0 #GP(0); IOPL 3 through the IDT
        or      byte [BIGTSS + 0x68 + 0x40 / 8], 1
        V86     v_int, 0
        V86_FAULT GP, 0, v_int
        V86     v_int, F_IOPL
        EQ      [seen], 0x40
        and     byte [BIGTSS + 0x68 + 0x40 / 8], ~1
        ; INT3 is never redirected
        V86     v_int3, 0
        EQ      [ex_vector], BP_
        mov     eax, cr4
        and     eax, ~CR4_VME
        mov     cr4, eax
.no_vme:
        ; ---- a fault in v8086 mode on its way to a 16-bit gate, hot v8086 code ----
        V86     v_loop, F_IOPL
        V86_FAULT UD, 0, v_loop.at
        BITS_EQ [ex_regs + FR_EAX], 0xffff, (100 * 101 / 2) & 0xffff
        BITS_EQ [ex_regs + FR_EDI], 0xffff, 100
        mov     dword [ex_hook], 0
        SET_DESC TSS_SEL, TSS, 0x67, A_TSS32, 0
        mov     eax, TSS_SEL
        ltr     ax
        RESET_GATE 0x40
        ret

; Back to the 32-bit caller of V86.
leave_hook:
        mov     eax, [back_to]
        mov     esp, [kernel_esp]
        jmp     eax

v86_gate:
        push    eax
        mov     eax, ds
        mov     [ss:seen + 8], eax
        mov     eax, es
        or      [ss:seen + 8], eax
        mov     eax, DATA32
        mov     ds, eax
        mov     es, eax
        pop     eax
        mov     dword [seen], 0x40
        mov     eax, [esp]
        mov     [seen + 4], eax
        mov     eax, [back_to]
        mov     esp, [kernel_esp]
        jmp     eax

; #GP at INT n or IRET of the program: do what an 8086 would. HLT ends.
reflect_hook:
        cmp     dword [ex_vector], GP
        jne     .bad
        movzx   ebx, word [ebp + FR_CS]
        shl     ebx, 4
        add     ebx, [ebp + FR_EIP]             ; the instruction
        movzx   edi, word [ebp + FR_SS]
        shl     edi, 4
        movzx   ecx, word [ebp + FR_ESP]
        cmp     byte [ebx], 0xcd
        je      .int
        cmp     byte [ebx], 0xcf
        je      .iret
        cmp     byte [ebx], 0xf4
        je      leave_hook
.bad:   FAIL
.int:   inc     dword [seen]
        movzx   edx, byte [ebx + 1]
        add     dword [ebp + FR_EIP], 2
        sub     cx, 6
        mov     ax, [ebp + FR_EFLAGS]
        mov     [edi + ecx + 4], ax
        mov     ax, [ebp + FR_CS]
        mov     [edi + ecx + 2], ax
        mov     ax, [ebp + FR_EIP]
        mov     [edi + ecx], ax
        mov     ax, [edx * 4 + 2]
        mov     [ebp + FR_CS], ax
        movzx   eax, word [edx * 4]
        mov     [ebp + FR_EIP], eax
        jmp     .sp
.iret:  movzx   eax, word [edi + ecx]
        mov     [ebp + FR_EIP], eax
        mov     ax, [edi + ecx + 2]
        mov     [ebp + FR_CS], ax
        mov     ax, [edi + ecx + 4]
        and     ax, 0x0dd5
        and     dword [ebp + FR_EFLAGS], ~0x0dd5
        or      [ebp + FR_EFLAGS], ax
        add     cx, 6
.sp:    mov     [ebp + FR_ESP], cx
        and     dword [ebp + FR_EFLAGS], ~F_RF
        ret

; ---- the 8086 program: offsets are from v86_code ----
bits 16
align 16
v86_code:
ivt_handler:
        inc     dx
        pushf                           ; only where that works
        pop     bx
        push    bp
        mov     bp, sp
        mov     si, [bp + 6]            ; FLAGS of the frame
        pop     bp
        iret
v_ud:   mov     ax, 0x1234
        mov     bx, 0x55aa
        mov     word [0x8000], 0x4711
        push    ax
        stc
.at:    ud2
v_iopl3:
        sti
        pushf
        pop     ax
        cli
        pushf
        pop     bx
        push    word 0x0086
        popf
        pushf
        pop     cx
.at:    ud2
v_int:  int     0x40
.after: ud2
v_cli:  cli
        ud2
v_sti:  sti
        ud2
v_pushf: pushf
        ud2
v_pushfd: pushfd
        ud2
v_popf: popf
        ud2
v_iret: iret
        ud2
v_int3: int3
.after: ud2
v_into: into
        ud2
v_hlt:  hlt
v_lgdt: lgdt    [0]
v_cr0:  mov     eax, cr0
v_clts: clts
v_lldt: lldt    ax
v_sldt: sldt    ax
v_lar:  lar     ax, bx
v_verr: verr    ax
v_arpl: db      0x63, 0xc0              ; ARPL AX, AX
v_limit:
        mov     bx, 0xffff
        mov     al, [bx]
.at:    mov     ax, [bx]
        ud2
v_stack_limit:
        mov     sp, 1
.at:    push    ax
        ud2
v_out70: mov    al, 0
        out     0x70, al
        in      al, 0x70
.end:   ud2
v_out71: out    0x71, al
        ud2
v_outw70: out   0x70, ax                ; both ports must be allowed
        ud2
v_outd80: in    eax, 0x80
        in      ax, 0x82
.end:   ud2
v_insb: mov     dx, 0x71
        mov     di, 0x9000
.at:    insb
        ud2
v_reflect:
        mov     cx, 20
        xor     dx, dx
.next:  int     0x60
        loop    .next
        hlt
ivt_plain:
        inc     dx
        iret
v_vme_int:
        xor     dx, dx
        mov     cx, 5
.next:  int     0x40
        loop    .next
.at:    ud2
v_vme_flags:
        sti
        pushf
        pop     ax
        cli
        pushf
        pop     bx
        push    word F_IF
        popf
        pushf
        pop     cx
        cli
.at:    ud2
v_vme_popf_tf:
        push    word F_TF
.at:    popf
        ud2
v_vme_popf_if:
        push    word F_IF
.at:    popf
        ud2
v_loop: mov     cx, 100
        xor     ax, ax
        xor     di, di
.next:  add     ax, cx
        call    .sub
        push    ax
        pop     bx
        loop    .next
.at:    ud2
.sub:   inc     di
        ret
v86_code_end:
bits 32
