; tests/guests/long_compat.asm -- between 64-bit mode and compatibility mode: far jumps, calls,
; returns, IRET, call gates; 16-bit code; upper halves of registers; segment limits that count in one
; and not in the other; FS and GS bases; IRET's VM flag; leaving long mode and coming back.
; [SDM 3A 2.2 "Modes of Operation", 5.8.3.1 "IA-32e Mode Call Gates"], [SDM 2A "CALL", "IRET"]
%include "long.inc"

C16     equ FREE64              ; 16-bit code, level 0
LD      equ FREE64 + 8          ; L and D both set
GATE    equ FREE64 + 0x10       ; 64-bit call gate, two entries
SMALL   equ FREE64 + 0x20       ; data, limit 0xfff
CONF    equ FREE64 + 0x28       ; conforming 64-bit code
LOW_CODE equ FREE64 + 0x30      ; 32-bit code that ends at DATA
READ_ONLY equ FREE64 + 0x38
LDT_SEL equ FREE64 + 0x40       ; two entries
BASED   equ FREE64 + 0x50       ; data, base DATA

; A 64-bit call gate: target selector, offset (a number), access
%macro SET_CALL64 3
        mov     dword [GDT + GATE], ((%1) << 16) | ((%2) & 0xffff)
        mov     dword [GDT + GATE + 4], ((%2) & 0xffff0000) | ((%3) << 8)
        mov     dword [GDT + GATE + 8], ((%2) >> 32) & 0xffffffff
        mov     dword [GDT + GATE + 12], 0
%endmacro

main64:
        SET_DESC C16, 0, 0xffff, A_CODE, 0
        SET_DESC LD, 0, 0xfffff, A_CODE, L_BIT | D_32
        SET_DESC SMALL, 0, 0xfff, A_DATA, D_32
        SET_DESC CONF, 0, 0, A_CODE | 4, L_BIT
        SET_DESC LOW_CODE, 0, DATA - 1, A_CODE, D_32
        SET_DESC READ_ONLY, 0, 0xfffff, A_DATA & ~2, G_4K | D_32
        SET_DESC BASED, DATA, 0xfffff, A_DATA | DPL3, G_4K | D_32
        mov     r13d, 6
.loop:  call    jumps
        call    registers
        call    gates
        call    segments
        call    bases
        call    returns
        call    reenter
        dec     r13d
        jnz     .loop
        ret

%macro IN_LONG 0                ; 64-bit mode? 48 is DEC EAX elsewhere
        xor     eax, eax
        dec     rax
        bt      rax, 40
        jc      %%ok
        FAIL
%%ok:
%endmacro

jumps:  mov     r12, rsp
        mov     [vars64], rsp
        ; far JMP through memory, 64 and 32 bits of offset; CALL and RET, both ways
        o64 jmp far [.to_compat]
bits 32
.compat:
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, CODE32
        EQ      esp, [vars64]
        jmp     CODE64:.long
bits 64
.long:  IN_LONG
        jmp     far dword [.to_compat32]
bits 32
.compat2:
        call    CODE64:.called64
        jmp     CODE64:.long2
bits 64
.called64:
        IN_LONG
        mov     eax, [rsp]                      ; 4-byte slots: the CALL was 32-bit
        EQ      [rsp + 4], CODE32
        retf                                    ; 32-bit
.long2: EQ64    rsp, r12
        o64 call far [.to_sub32]
.sub_next:
.sub_back:
        IN_LONG
        EQ64    rsp, r12
        call    far dword [.to_sub32_short]
        EQ64    rsp, r12
        ; 16-bit code
        jmp     far dword [.to_16]
bits 16
.code16:
        mov     ax, cs
        cmp     ax, C16
        jne     .bad16
        mov     eax, 0x12345
        cmp     ax, 0x2345
        jne     .bad16
        push    ax
        pop     cx
        o32 jmp CODE64:dword LINEAR(.long3)
.bad16: o32 jmp CODE64:dword LINEAR(.bad)
bits 64
.bad:   FAIL
.long3: EQ64    rsp, r12
        ; L and D: #GP with the selector, from both modes and by every way
        FAULTS  GP, LD, jmp far dword [.to_ld]
        FAULTS  GP, LD, call far dword [.to_ld]
        push    LD
        push    .bad
        FAULTS  GP, LD, o64 retf
        add     rsp, 16
        push    DATA64
        push    r12
        push    2
        push    LD
        push    .bad
        FAULTS  GP, LD, iretq
        mov     rsp, r12
        COMPAT
        FAULTS  GP, LD, jmp LD:0
        LONG
        ; data, TSS, nothing: no targets
        mov     word [.to_any + 4], DATA64
        FAULTS  GP, DATA64, jmp far dword [.to_any]
        mov     word [.to_any + 4], TSS64_SEL
        FAULTS  GP, TSS64_SEL, jmp far dword [.to_any]
        FAULTS  GP, TSS64_SEL, call far dword [.to_any]
        mov     word [.to_any + 4], 0
        FAULTS  GP, 0, jmp far dword [.to_any]
        ; beyond the limit of the 32-bit segment; 64-bit ones have none
        mov     word [.to_any + 4], LOW_CODE
        mov     dword [.to_any], DATA
        FAULTS  GP, 0, jmp far dword [.to_any]
        mov     dword [.to_any], LINEAR(.low)
        jmp     far dword [.to_any]
bits 32
.low:   mov     eax, DATA
        FAULTS  GP, 0, jmp eax
        LONG
        ret
align 8
.to_compat: dq  .compat
        dw      CODE32
align 8
.to_compat32: dd LINEAR(.compat2), CODE32
.to_sub32: dq   .sub32
        dw      CODE32
align 8
.to_sub32_short: dd LINEAR(.sub32_short), CODE32
.to_16: dd      LINEAR(.code16), C16
.to_ld: dd      0, LD
.to_any: dd     LINEAR(.bad), 0
bits 32
.sub32: EQ      [esp], .sub_next                ; 64-bit CALL: 8-byte slots
        EQ      [esp + 4], 0
        EQ      [esp + 8], CODE64
        add     esp, 16
        jmp     CODE64:.sub_back
.sub32_short:
        mov     eax, 5
        retf
bits 64

; ---- upper halves: 32-bit writes clear them, others and the switch itself leave them (where the
; manual calls them undefined, nothing is checked) ; R8 to R15 stay ----
registers:
        mov     r8, 0x8888888812345678
        mov     r15, 0xffffffff87654321
        mov     rbx, 0x1111111122222222
        mov     r14d, 10
.hot:   mov     rcx, -1
        COMPAT
        mov     ecx, 5
        mov     bx, 0x3333
        add     ecx, 0xfffffffb                 ; wraps in 32 bits
        jc      .carry
        FAIL
.carry: mov     eax, [esp - 4]
        FAULTS  UD, 0, ud2
        EQ_MEM64 (lx_regs + L_R8), 0x8888888812345678
        EQ_MEM64 (lx_regs + L_R15), 0xffffffff87654321
        LONG
        EQ64    rcx, 0
        EQ64    r8, 0x8888888812345678
        EQ64    r15, 0xffffffff87654321
        EQ      ebx, 0x22223333
        dec     r14d
        jnz     .hot
        ; addresses have 32 bits there: a wrap at 4 GiB, no REX, no RIP-relative addresses
        mov     dword [DATA], 0x1234
        COMPAT
        mov     ebx, 0xfffff000
        mov     eax, [ebx + DATA + 0x1000]
        EQ      eax, 0x1234
        mov     eax, [DATA]
        EQ      eax, 0x1234
        mov     eax, 1
        db      0x48                            ; DEC EAX
        EQ      eax, 0
        db      0x8b, 0x05
        dd      DATA                            ; MOV EAX, [disp32], not [RIP + disp32]
        EQ      eax, 0x1234
        db      0x37                            ; AAA
        push    es
        pop     es
        LONG
        ret

; ---- call gates ----
gates:  SET_CALL64 CODE64, LINEAR(.target), 0x8c | DPL3
        mov     r12, rsp
        mov     r14d, 6
        ; from 64-bit mode, the same level: two 8-byte slots
.hot:   call    far dword [.far]
.next:  EQ64    rsp, r12
        EQ64    [vars64], LINEAR(.next)
        EQ64    [vars64 + 8], CODE64
        mov     rax, r12
        sub     rax, 16
        EQ64    [vars64 + 16], rax
        ; from CPL 3: RSP0, SS null; four slots, no parameters
        USER
        call    far dword [.far3]
.next3: EQ64    rsp, USER_STACK
        EQ64    [vars64], LINEAR(.next3)
        EQ64    [vars64 + 8], USER_CODE64
        EQ64    [vars64 + 16], KERNEL_STACK - 0x1000 - 32
        EQ64    [vars64 + 24], USER_STACK
        EQ64    [vars64 + 32], USER_DATA64
        EQ64    [vars64 + 40], 0
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, USER_DATA64
        FAULTS  GP, CODE64, jmp far dword [.far3]         ; JMP does not change the level
        EQ64    [lx_cs], USER_CODE64
        SUPERVISOR
        ; from compatibility mode, where the gate leads to 64-bit mode, too
        USER_COMPAT
        call    GATE | 3:0x12345678
.next4: EQ      esp, USER_STACK
        EQ      [vars64], .next4
        EQ      [vars64 + 8], USER_CODE32
        EQ      [vars64 + 32], USER_DATA64
        SUPERVISOR
        COMPAT
        call    GATE:0
.next5: LONG
        EQ64    rsp, r12
        EQ64    [vars64 + 8], CODE32
        push    CODE64                                  ; JMP, the same level: for its RETF
        push    .jumped
        jmp     far dword [.far]
.jumped:
        EQ64    rsp, r12
        dec     r14d
        jnz     .hot
        ; what a gate may not be
        mov     esi, .far
        SET_CALL64 CODE64, 0x800000000000, 0x8c | DPL3
        FAULTS  GP, 0, call far dword [rsi]
        EQ64    rsp, r12
        SET_CALL64 CODE32, LINEAR(.target), 0x8c | DPL3
        FAULTS  GP, CODE32, call far dword [rsi]
        SET_CALL64 LD, LINEAR(.target), 0x8c | DPL3
        FAULTS  GP, LD, call far dword [rsi]
        SET_CALL64 0, LINEAR(.target), 0x8c | DPL3
        FAULTS  GP, 0, call far dword [rsi]
        SET_CALL64 DATA64, LINEAR(.target), 0x8c | DPL3
        FAULTS  GP, DATA64, call far dword [rsi]
        SET_CALL64 CODE64, LINEAR(.target), 0x0c | DPL3
        FAULTS  NP, GATE, call far dword [rsi]
        SET_CALL64 CODE64, LINEAR(.target), 0x84 | DPL3 ; a 16-bit gate
        FAULTS  GP, GATE, call far dword [rsi]
        SET_CALL64 CODE64, LINEAR(.target), 0x85 | DPL3 ; a task gate
        FAULTS  GP, GATE, call far dword [rsi]
        SET_CALL64 CODE64, LINEAR(.target), 0x8c | DPL3
        mov     dword [GDT + GATE + 12], 0x0c00         ; the upper half has a type
        FAULTS  GP, GATE, call far dword [rsi]
        SET_CALL64 CODE64, LINEAR(.target), 0x8c        ; DPL 0
        USER
        FAULTS  GP, GATE, call far dword [rsi]
        SUPERVISOR
        SET_CALL64 USER_CODE64, LINEAR(.target), 0x8c | DPL3
        FAULTS  GP, USER_CODE64 & ~3, call far dword [rsi]
        ; no stack: #SS (null) from the gate's own
        SET_CALL64 CODE64, LINEAR(.target), 0x8c | DPL3
        SET_GATE64 SS_, CODE64, LINEAR(long_stubs + SS_ * 16), A_INT32, 1
        SET_GATE64 V_SUPERVISOR, CODE64, LINEAR(long_supervisor), A_INT32 | DPL3, 1
        mov     dword [TSS64 + 36], KERNEL_STACK - 0x800
        mov     dword [TSS64 + 8], 0x8000
        USER
        FAULTS  SS_, 0, call far dword [rsi]
        EQ64    [lx_rsp], USER_STACK
        SUPERVISOR
        mov     dword [TSS64 + 8], 0
        RESET_GATE64 SS_
        SET_GATE64 V_SUPERVISOR, CODE64, LINEAR(long_supervisor), A_INT32 | DPL3, 0
        ret
.target:
        mov     rax, [rsp]
        mov     [vars64], rax
        mov     rax, [rsp + 8]
        mov     [vars64 + 8], rax
        mov     [vars64 + 16], rsp
        mov     rax, [rsp + 16]
        mov     [vars64 + 24], rax
        mov     rax, [rsp + 24]
        mov     [vars64 + 32], rax
        mov     eax, ss
        mov     [vars64 + 40], rax
        IN_LONG
        o64 retf
align 8
.far:   dd      0xdeadbeef, GATE
.far3:  dd      0xdeadbeef, GATE | 3

; ---- limits and types count in compatibility mode only ----
segments:
        mov     r12, rsp
        mov     eax, SMALL
        mov     ds, eax
        mov     es, eax
        mov     fs, eax
        mov     r14d, 6
.hot:   mov     ecx, [DATA]
        db      0x26
        mov     [DATA], ecx                     ; ES
        mov     ecx, [fs:DATA]
        COMPAT
        mov     ecx, [0xffc]
        mov     esi, DATA
        mov     eax, DATA64
        mov     dword [ss:lx_resume], .limit
        mov     dword [ss:lx_count], 0
.insn:  mov     ecx, [esi]
        LONG
        FAIL
bits 32
.limit: mov     eax, DATA64
        mov     ds, eax
        EQ      [lx_vector], GP
        EQ      [lx_error], 0
        EQ      [lx_rip], .insn
        FAULTS  GP, 0, mov [es:esi], ecx
        FAULTS  GP, 0, mov ecx, [fs:0xffd]
        mov     eax, SMALL
        LONG
        mov     ds, eax
        dec     r14d
        jnz     .hot
        ; null segments
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ecx, [DATA]
        db      0x26
        mov     [DATA], ecx                     ; ES
        mov     eax, READ_ONLY
        mov     ds, eax
        mov     [DATA], ecx                     ; nor is the type asked
        db      0x2e
        mov     [DATA], ecx                     ; CS
        COMPAT
        mov     dword [ss:lx_resume], .read_only
        mov     dword [ss:lx_count], 0
        mov     [DATA], ecx
        LONG
        FAIL
bits 32
.read_only:
        EQ      [ss:lx_vector], GP
        LONG
        mov     eax, DATA64
        mov     ds, eax
        mov     es, eax
        COMPAT
        FAULTS  GP, 0, mov [cs:DATA], ecx
        xor     eax, eax
        mov     es, eax
        FAULTS  GP, 0, mov [es:DATA], ecx
        FAULTS  GP, 0, mov ss, ax               ; null SS: 64-bit mode below level 3 only
        mov     eax, DATA64
        mov     es, eax
        LONG
        xor     eax, eax
        mov     ss, eax
        push    rax
        pop     rax
        FAULTS  UD, 0, ud2
        EQ64    [lx_ss], 0
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, 0
        mov     eax, 3
        FAULTS  GP, 0, mov ss, ax
        mov     eax, USER_DATA64
        FAULTS  GP, USER_DATA64 & ~3, mov ss, ax
        mov     eax, DATA64
        mov     ss, eax
        USER
        xor     eax, eax
        FAULTS  GP, 0, mov ss, ax               ; not at level 3
        mov     eax, 3
        FAULTS  GP, 0, mov ss, ax
        SUPERVISOR
        EQ64    rsp, r12
        ret

; ---- bases ----
bases:  CR_SET  cr4, CR4_FSGSBASE
        mov     dword [DATA], 0x1111
        mov     dword [DATA + 0x100], 0x2222
        mov     r14d, 6
        ; DS, ES, SS, CS have none in 64-bit mode
.hot:   mov     eax, BASED
        mov     es, eax
        mov     ds, eax
        mov     ecx, [DATA + 0x100]
        EQ      ecx, 0x2222
        mov     edi, DATA + 0x100
        scasd
        COMPAT
        mov     ecx, [es:0x100]
        cmp     ecx, 0x2222
        jne     .bad
        mov     ecx, [0]
        cmp     ecx, 0x1111
        jne     .bad
        LONG
        mov     eax, DATA64
        mov     ds, eax
        mov     es, eax
        ; FS and GS have: from the descriptor, from the MSR, 64 bits; 32 in compatibility mode
        mov     eax, BASED
        mov     fs, eax
        mov     ecx, [fs:0]
        EQ      ecx, 0x1111
        rdfsbase rax
        EQ64    rax, DATA
        READ_MSR FS_BASE
        EQ64    rax, DATA
        WRITE_MSR FS_BASE, DATA + 0x100
        mov     ecx, [fs:0]
        EQ      ecx, 0x2222
        mov     ax, fs
        movzx   eax, ax
        EQ      eax, BASED
        mov     rax, 0x1200000000 + DATA
        wrgsbase rax
        rdgsbase rcx
        EQ64    rcx, rax
        rdgsbase ecx
        EQ64    rcx, DATA
        COMPAT
        mov     ecx, [fs:0]
        EQ      ecx, 0x2222
        LONG
        mov     eax, DATA + 0x100
        mov     rcx, 0xffffffff00000000
        or      rcx, rax
        wrfsbase ecx                            ; 32 bits, cleared above
        rdfsbase rax
        EQ64    rax, DATA + 0x100
        ; SWAPGS
        WRITE_MSR KERNEL_GS_BASE, DATA + 0x100
        mov     rax, DATA
        wrgsbase rax
        swapgs
        mov     ecx, [gs:0]
        EQ      ecx, 0x2222
        READ_MSR KERNEL_GS_BASE
        EQ64    rax, DATA
        swapgs
        mov     ecx, [gs:0]
        EQ      ecx, 0x1111
        USER
        FAULTS  GP, 0, swapgs
        mov     ecx, [gs:0]
        EQ      ecx, 0x1111
        mov     eax, DATA + 0x100
        wrgsbase rax
        mov     ecx, [gs:0]
        EQ      ecx, 0x2222
        rdfsbase rax
        EQ64    rax, DATA + 0x100
        mov     rax, 0x800000000000
        FAULTS  GP, 0, wrfsbase rax
        FAULTS  GP, 0, wrgsbase rax
        SUPERVISOR
        COMPAT
        FAULTS  UD, 0, db 0x0f, 0x01, 0xf8              ; SWAPGS
        FAULTS  UD, 0, db 0xf3, 0x0f, 0xae, 0xc0        ; RDFSBASE
        LONG
        dec     r14d
        jnz     .hot
        CR_CLEAR cr4, CR4_FSGSBASE
        FAULTS  UD, 0, rdfsbase rax
        FAULTS  UD, 0, wrgsbase rax
        USER
        FAULTS  UD, 0, rdgsbase rax
        FAULTS  UD, 0, wrfsbase rax
        SUPERVISOR
        xor     eax, eax
        mov     fs, eax
        mov     gs, eax
        WRITE_MSR FS_BASE, 0
        WRITE_MSR GS_BASE, 0
        ret
bits 32
.bad:   mov     eax, DATA64
        mov     ds, eax
        FAIL
bits 64

; ---- IRET ----
returns:
        mov     r12, rsp
        mov     [vars64 + 0x60], rsp
        ; VM is no flag here: the frame's is ignored
        push    USER_DATA64
        push    USER_STACK
        push    F_VM | F_CF | 2
        push    USER_CODE32
        push    .user32
        mov     [long_rsp], r12
        mov     eax, USER_DATA64
        mov     ds, eax
        mov     es, eax
        iretq
bits 32
.user32:
        jnc     .bad
        FAULTS  UD, 0, ud2
        EQ      [lx_cs], USER_CODE32
        mov     eax, [lx_rflags]
        and     eax, F_VM
        EQ      eax, 0
        SUPERVISOR
        EQ64    rsp, r12
        ; 32-bit IRET in 64-bit mode pops five 4-byte slots
        sub     rsp, 20
        mov     dword [rsp], .iretd
        mov     dword [rsp + 4], CODE64
        mov     dword [rsp + 8], F_VM | F_CF | 2        ; VM is ignored
        mov     [rsp + 12], r12d
        mov     dword [rsp + 16], DATA64
        iretd
.iretd: jnc     .bad64
        EQ64    rsp, r12
        ; in compatibility mode IRET to the same level pops three
        COMPAT
        pushfd
        push    dword CODE32
        push    dword .same
        iretd
.same:  EQ      esp, [vars64 + 0x60]
        ; and leads to 64-bit mode, too
        pushfd
        push    dword CODE64
        push    dword .up
        iretd
bits 64
.up:    EQ64    rsp, r12
        ; NT: #GP in IA-32e mode
        push    F_NT | 2
        popfq
        FAULTS  GP, 0, iretq
        push    2
        popfq
        ; a null SS: to 64-bit code of level 0 only
        push    0
        push    r12
        push    2
        push    CODE64
        push    .null
        iretq
.null:  mov     ax, ss
        movzx   eax, ax
        EQ      eax, 0
        mov     eax, DATA64
        mov     ss, eax
        push    0
        push    r12
        push    2
        push    CODE32
        push    .bad64
        FAULTS  GP, 0, iretq
        mov     rsp, r12
        push    3
        push    r12
        push    2
        push    USER_CODE64
        push    .bad64
        FAULTS  GP, 0, iretq
        mov     rsp, r12
        ; a far RET to level 3 in 32-bit code, with 8-byte slots
        push    USER_DATA64
        push    USER_STACK
        push    USER_CODE32
        push    .far3
        o64 retf
bits 32
.far3:  mov     ax, ss
        movzx   eax, ax
        mov     ecx, USER_DATA64
        mov     ds, ecx
        EQ      eax, USER_DATA64
        SUPERVISOR
        ret
.bad64: FAIL
bits 32
.bad:   FAIL
bits 64

; ---- out of long mode and in again ----
reenter:
        mov     r12, rsp
        mov     r15, 0x123456789abcdef0
        ; what cannot be changed while it is on
        READ_MSR EFER
        EQ64    rax, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE
        and     eax, ~EFER_LME
        FAULTS  GP, 0, wrmsr
        or      eax, EFER_LME
        and     eax, ~EFER_LMA                  ; read-only: ignored
        wrmsr
        READ_MSR EFER
        EQ64    rax, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE
        mov     rax, cr0
        btr     rax, 31
        FAULTS  GP, 0, mov cr0, rax             ; not in 64-bit mode
        mov     rax, cr4
        and     eax, ~CR4_PAE
        FAULTS  GP, 0, mov cr4, rax
        COMPAT
        mov     eax, cr4
        and     eax, ~CR4_PAE
        FAULTS  GP, 0, mov cr4, eax
        ; off
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        mov     ecx, EFER
        rdmsr
        EQ      eax, EFER_SCE | EFER_LME | EFER_NXE
        ; LME needs PAE when paging comes on
        mov     eax, cr4
        and     eax, ~CR4_PAE
        mov     cr4, eax
        lidt    [idt_pointer]                   ; protected mode's gates: its recorder
        mov     dword [ex_resume], .no_pae
        mov     dword [ex_count], 0
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        FAIL
.no_pae:
        EQ      [ex_count], 1
        EQ      [ex_vector], GP
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        lidt    [main.idt]
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        LONG
        EQ64    r15, 0x123456789abcdef0
        EQ64    rsp, r12
        FAULTS  UD, 0, ud2
        ret
