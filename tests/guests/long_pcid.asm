; tests/guests/long_pcid.asm -- CR4.PCIDE, the no-flush bit of CR3, INVPCID, INVLPG, global pages:
; what is refused, and which stale translations may not be seen.  (fuzz_tlb.c looks for the same at
; random; here is each rule by itself.)
; [SDM 3A 4.10.1 "Process-Context Identifiers", 4.10.4 "Invalidation"], [SDM 2A "INVPCID"],
; [SDM 2B "MOV to/from Control Registers"]
%include "long.inc"

; Two address spaces that differ in what is at LIN: tables A (PML4) and B
LIN     equ 0x8000000000
PML4_B  equ FREE_TABLES
PDPT_A  equ FREE_TABLES + 0x1000
PD_A    equ FREE_TABLES + 0x2000
PT_A    equ FREE_TABLES + 0x3000
PDPT_B  equ FREE_TABLES + 0x4000
PD_B    equ FREE_TABLES + 0x5000
PT_B    equ FREE_TABLES + 0x6000
PAGE1   equ 0x220000
PAGE2   equ 0x221000
PAGE3   equ 0x222000
CR3_A   equ PML4 | 1
CR3_B   equ PML4_B | 2
NO_FLUSH equ 1 << 63

%macro SWITCH 1
        mov     rax, %1
        mov     cr3, rax
%endmacro
%macro INVALIDATE 3             ; type, PCID, address
        mov     rax, %2
        mov     [vars64], rax
        mov     rax, %3
        mov     [vars64 + 8], rax
        mov     eax, %1
        invpcid rax, [vars64]
%endmacro
%macro INVPCID_FAULTS 3
        mov     rax, %2
        mov     [vars64], rax
        mov     rax, %3
        mov     [vars64 + 8], rax
        mov     eax, %1
        FAULTS  GP, 0, invpcid rax, [vars64]
%endmacro

main64:
        mov     dword [PAGE1], 0x1111
        mov     dword [PAGE2], 0x2222
        mov     dword [PAGE3], 0x3333
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PML4_B, PDPT | P_ALL, 0
        SET_ENTRY PML4_B + 8, PDPT_B | P_ALL, 0
        SET_ENTRY PDPT_B, PD_B | P_ALL, 0
        SET_ENTRY PD_B, PT_B | P_ALL, 0
        mov     rbx, LIN
        mov     r13d, 6
.loop:  call    refusals
        call    spaces
        call    global_pages
        dec     r13d
        jnz     .loop
        CR_CLEAR cr4, CR4_PGE
        ret

refusals:
        mov     rax, cr3
        EQ64    rax, PML4
        ; bit 63 of CR3 is reserved without PCIDE; the others above the physical width always
        mov     rax, PML4 | NO_FLUSH
        FAULTS  GP, 0, mov cr3, rax
        mov     rax, PML4 | (1 << 51)
        FAULTS  GP, 0, mov cr3, rax
        mov     rax, PML4 | (1 << 62)
        FAULTS  GP, 0, mov cr3, rax
        mov     rax, PML4 | 0xfff               ; PWT, PCD and ignored bits
        mov     cr3, rax
        ; PCIDE comes on only with a PCID of 0, in IA-32e mode
        mov     rax, cr4
        or      eax, CR4_PCIDE
        FAULTS  GP, 0, mov cr4, rax
        SWITCH  PML4 | 8
        mov     rax, cr4
        or      eax, CR4_PCIDE
        FAULTS  GP, 0, mov cr4, rax
        ; INVPCID without PCIDE: PCID 0 only
        INVALIDATE 0, 0, LIN
        INVALIDATE 1, 0, 0
        INVALIDATE 2, 0, 0
        INVALIDATE 3, 0, 0
        INVPCID_FAULTS 0, 1, LIN
        INVPCID_FAULTS 1, 5, 0
        SWITCH  PML4
        CR_SET  cr4, CR4_PCIDE
        mov     rax, PML4 | (1 << 62)
        FAULTS  GP, 0, mov cr3, rax
        SWITCH  PML4 | NO_FLUSH | 0x123
        mov     rax, cr3
        EQ64    rax, PML4 | 0x123               ; bit 63 is not kept
        ; paging cannot go off, nor PAE
        mov     rax, cr0
        btr     rax, 31
        FAULTS  GP, 0, mov cr0, rax
        mov     rax, cr4
        and     eax, ~CR4_PAE
        FAULTS  GP, 0, mov cr4, rax
        COMPAT
        mov     eax, cr0
        and     eax, ~CR0_PG
        FAULTS  GP, 0, mov cr0, eax             ; PCIDE again
        LONG
        ; INVPCID: type, reserved bits, address, level, the page of its operand
        INVPCID_FAULTS 4, 0, 0
        INVPCID_FAULTS -1, 0, 0
        INVPCID_FAULTS 0, 0x1000, LIN
        INVPCID_FAULTS 1, 1 << 63, 0
        INVPCID_FAULTS 2, 0x1000, 0
        INVPCID_FAULTS 3, 1 << 12, 0
        INVPCID_FAULTS 0, 1, 0x800000000000
        INVALIDATE 1, 1, 0x800000000000         ; the address does not count
        INVALIDATE 2, 1, 0x800000000000
        INVALIDATE 3, 0xfff, 0x800000000000
        INVALIDATE 1, 0xfff, 0
        mov     rax, 1 << 32                    ; all 64 bits of the type
        FAULTS  GP, 0, invpcid rax, [vars64]
        mov     r8, 0x800000000000
        FAULTS  GP, 0, invpcid rax, [r8]
        xor     eax, eax
        SET_ENTRY PT_A, 0, 0
        INVALIDATE 2, 0, 0
        PAGE_FAULTS 0, LIN, invpcid rax, [rbx]
        USER
        FAULTS  GP, 0, invpcid rax, [vars64]
        FAULTS  GP, 0, mov cr3, rax
        FAULTS  GP, 0, invlpg [rbx]
        SUPERVISOR
        FAULTS  UD, 0, db 0x66, 0x0f, 0x38, 0x82, 0xc0  ; a register as descriptor
        SWITCH  PML4
        CR_CLEAR cr4, CR4_PCIDE
        ret

; What is at LIN now
%macro SEES 1
        EQ      [rbx], %1
%endmacro
; Either is allowed: the manual lets a processor forget at any time.
%macro MAY_SEE 2
        mov     eax, [rbx]
        cmp     eax, %1
        je      %%ok
        EQ      eax, %2
%%ok:
%endmacro

spaces: CR_SET  cr4, CR4_PCIDE
        SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        SET_ENTRY PT_B, PAGE2 | P_ALL, 0
        mov     r15d, 10
.hot:   SWITCH  CR3_A
        SEES    0x1111
        SWITCH  CR3_B
        SEES    0x2222
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x1111
        SWITCH  CR3_B | NO_FLUSH
        SEES    0x2222
        dec     r15d
        jnz     .hot
        ; A changes while B runs
        mov     dword [PT_A], PAGE3 | P_ALL
        SEES    0x2222
        SWITCH  CR3_A | NO_FLUSH
        MAY_SEE 0x1111, 0x3333
        SWITCH  CR3_A                           ; flushes PCID 1
        SEES    0x3333
        ; the same, with INVPCID from outside
        mov     r15d, 10
.inv:   SWITCH  CR3_A | NO_FLUSH
        mov     eax, [rbx]
        SWITCH  CR3_B | NO_FLUSH
        mov     dword [PT_A], PAGE1 | P_ALL
        INVALIDATE 0, 1, LIN
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x1111
        SWITCH  CR3_B | NO_FLUSH
        mov     dword [PT_A], PAGE3 | P_ALL
        INVALIDATE 1, 1, 0
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x3333
        SWITCH  CR3_B | NO_FLUSH
        mov     dword [PT_A], PAGE1 | P_ALL
        INVALIDATE 3, 0, 0
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x1111
        SWITCH  CR3_B | NO_FLUSH
        mov     dword [PT_A], PAGE3 | P_ALL
        INVALIDATE 2, 0, 0
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x3333
        ; the address space that runs: INVLPG, INVPCID; the other one keeps or loses what it had
        mov     dword [PT_A], PAGE1 | P_ALL
        invlpg  [rbx]
        SEES    0x1111
        mov     dword [PT_A], PAGE3 | P_ALL
        INVALIDATE 0, 1, LIN + 0x123
        SEES    0x3333
        SWITCH  CR3_B | NO_FLUSH
        SEES    0x2222
        dec     r15d
        jnz     .inv
        ; rights that were taken away
        SWITCH  CR3_A
        mov     [rbx + 8], eax
        SWITCH  CR3_B | NO_FLUSH
        and     dword [PT_A], ~P_W
        INVALIDATE 0, 1, LIN
        mov     [rbx + 8], eax
        SWITCH  CR3_A | NO_FLUSH
        PAGE_FAULTS PF_P | PF_W, LIN + 8, mov [rbx + 8], eax
        ; rights that were given: a fault at most once
        or      dword [PT_A], P_W
        mov     dword [lx_resume], .again
.again: mov     [rbx + 8], eax
        mov     dword [lx_resume], 0
        ; an entry that was not present is never cached
        mov     dword [PT_A], 0
        invlpg  [rbx]
        PAGE_FAULTS 0, LIN, mov eax, [rbx]
        mov     dword [PT_A], PAGE1 | P_ALL
        SEES    0x1111
        ; one PCID, two sets of tables: a load that flushes shows the second
        SWITCH  PML4_B | 1
        SEES    0x2222
        SWITCH  PML4 | 1
        SEES    0x1111
        ; code: what level 0 has run at LIN in each space
        mov     dword [PAGE1 + 0x10], 0xc301b0  ; MOV AL, 1; RET
        mov     dword [PAGE2 + 0x10], 0xc302b0
        mov     dword [PAGE3 + 0x10], 0xc303b0
        lea     rdi, [rbx + 0x10]
        mov     r15d, 20
.code:  SWITCH  CR3_A | NO_FLUSH
        call    rdi
        cmp     al, 1
        jne     .bad
        SWITCH  CR3_B | NO_FLUSH
        call    rdi
        cmp     al, 2
        jne     .bad
        mov     dword [PT_A], PAGE3 | P_ALL
        INVALIDATE 0, 1, LIN
        SWITCH  CR3_A | NO_FLUSH
        call    rdi
        cmp     al, 3
        jne     .bad
        mov     dword [PT_A], PAGE1 | P_ALL
        invlpg  [rbx]
        dec     r15d
        jnz     .code
        ; PCIDE off: everything goes, PCID 0 is left
        SWITCH  CR3_B | NO_FLUSH
        mov     eax, [rbx]
        SWITCH  PML4_B
        mov     dword [PT_B], PAGE3 | P_ALL
        CR_CLEAR cr4, CR4_PCIDE
        SEES    0x3333
        mov     dword [PT_B], PAGE2 | P_ALL
        CR_SET  cr4, CR4_PCIDE
        SWITCH  CR3_B
        SEES    0x2222
        SWITCH  PML4
        CR_CLEAR cr4, CR4_PCIDE
        ret
.bad:   FAIL

; ---- global pages belong to every PCID ----
global_pages:
        CR_SET  cr4, CR4_PCIDE | CR4_PGE
        SET_ENTRY PT_A, PAGE1 | P_ALL | P_G, 0
        SET_ENTRY PT_B, PAGE1 | P_ALL | P_G, 0
        INVALIDATE 2, 0, 0
        SWITCH  CR3_A
        SEES    0x1111
        ; INVLPG drops them, in whatever space
        mov     dword [PT_A], PAGE2 | P_ALL | P_G
        mov     dword [PT_B], PAGE2 | P_ALL | P_G
        SWITCH  CR3_A                           ; does not have to
        MAY_SEE 0x1111, 0x2222
        SWITCH  CR3_B | NO_FLUSH
        MAY_SEE 0x1111, 0x2222
        invlpg  [rbx]
        SEES    0x2222
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x2222
        ; so do INVPCID type 2 and a change of CR4.PGE, in both directions
        mov     dword [PT_A], PAGE3 | P_ALL | P_G
        mov     dword [PT_B], PAGE3 | P_ALL | P_G
        INVALIDATE 2, 0, 0
        SEES    0x3333
        SWITCH  CR3_B | NO_FLUSH
        SEES    0x3333
        mov     dword [PT_A], PAGE1 | P_ALL | P_G
        mov     dword [PT_B], PAGE1 | P_ALL | P_G
        CR_CLEAR cr4, CR4_PGE
        SEES    0x1111
        mov     dword [PT_B], PAGE2 | P_ALL | P_G       ; G does not count now
        mov     dword [PT_A], PAGE2 | P_ALL | P_G
        SWITCH  CR3_B
        SEES    0x2222
        CR_SET  cr4, CR4_PGE
        SWITCH  CR3_A | NO_FLUSH
        SEES    0x2222
        ; not global any more: the flush of one PCID is enough once the global one is gone
        mov     dword [PT_A], PAGE3 | P_ALL
        invlpg  [rbx]
        SEES    0x3333
        mov     dword [PT_A], PAGE1 | P_ALL
        SWITCH  CR3_A
        SEES    0x1111
        SWITCH  PML4
        CR_CLEAR cr4, CR4_PCIDE | CR4_PGE
        ret
