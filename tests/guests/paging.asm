; tests/guests/paging.asm -- two-level paging: error codes, CR2, accessed and dirty bits, CR0.WP,
; 4 MiB pages, INVLPG, CR3 loads, global pages, faults in the middle of instructions.
; [SDM 3A 4.3, 4.6 "Access Rights", 4.7 "Page-Fault Exceptions", 4.8 "Accessed and Dirty Flags",
; 4.10.4 "Invalidation"]
%include "common.inc"
%include "paging.inc"

PAGE_A  equ 0x200000
PAGE_B  equ 0x201000
PAGE_C  equ 0x202000
KEEP    equ P_P | P_W | P_U

main:
        call    paging_on
        mov     dword [PAGE_A], 0xaaaaaaaa
        mov     dword [PAGE_B], 0xbbbbbbbb

        ; ---- error codes at CPL 0 ----
        MAP     PAGE_A, 0
        PAGE_FAULTS 0, PAGE_A, mov eax, [PAGE_A]
        PAGE_FAULTS 0, PAGE_A + 0xfff, mov al, [PAGE_A + 0xfff]
        PAGE_FAULTS PF_W, PAGE_A + 4, mov [PAGE_A + 4], eax
        PAGE_FAULTS PF_W, PAGE_A + 4, add [PAGE_A + 4], eax     ; RMW faults as a write
        PAGE_FAULTS PF_W, PAGE_A + 4, inc byte [PAGE_A + 4]
        PAGE_FAULTS PF_W, PAGE_A + 4, xchg [PAGE_A + 4], eax
        PAGE_FAULTS PF_W, PAGE_A + 4, lock or dword [PAGE_A + 4], 1
        PAGE_FAULTS PF_W, PAGE_A + 4, cmpxchg [PAGE_A + 4], ecx
        PAGE_FAULTS PF_W, PAGE_A + 4, bts dword [PAGE_A + 4], 3
        PAGE_FAULTS 0, PAGE_A + 4, bt dword [PAGE_A + 4], 3
        PAGE_FAULTS 0, PAGE_A + 4, cmp [PAGE_A + 4], eax
        PAGE_FAULTS 0, PAGE_A + 4, test [PAGE_A + 4], eax
        PAGE_FAULTS PF_W, PAGE_A, setz [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, push dword [PAGE_A]
        PAGE_FAULTS PF_W, PAGE_A, pop dword [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, jmp [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, call [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, lgdt [PAGE_A]
        PAGE_FAULTS PF_W, PAGE_A, sgdt [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, bound eax, [PAGE_A]
        PAGE_FAULTS 0, PAGE_A, fld dword [PAGE_A]
        PAGE_FAULTS PF_W, PAGE_A, fnstcw [PAGE_A]
        ; CMOV reads whatever the condition; a false SETcc writes
        cmp     eax, eax
        PAGE_FAULTS 0, PAGE_A, cmovne eax, [PAGE_A]
        ; code: without NX the I/D bit is not reported
        mov     dword [ex_resume], .fetched
        mov     dword [ex_count], 0
        mov     eax, PAGE_A + 0x123
        jmp     eax
.fetched:
        EQ      [ex_count], 1
        EQ      [ex_error], 0
        EQ      [ex_cr2], PAGE_A + 0x123
        EQ      [ex_eip], PAGE_A + 0x123
        ; the page directory's P
        mov     dword [PAGE_DIR + 4], 0
        FLUSH
        PAGE_FAULTS 0, 0x400000, mov eax, [0x400000]
        PAGE_FAULTS PF_W, 0xfffffffc, mov [0xfffffffc], eax

        ; ---- read-only pages: CR0.WP decides at CPL 0 ----
        MAP     PAGE_A, PAGE_A | P_P | P_U
        mov     dword [PAGE_A], 1
        EQ      [PAGE_A], 1
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        PAGE_FAULTS PF_P | PF_W, PAGE_A, mov dword [PAGE_A], 2
        EQ      [PAGE_A], 1
        mov     eax, cr0
        and     eax, ~CR0_WP
        mov     cr0, eax
        mov     dword [PAGE_A], 3
        EQ      [PAGE_A], 3
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        PAGE_FAULTS PF_P | PF_W, PAGE_A, add dword [PAGE_A], 2
        EQ      [PAGE_A], 3
        ; W in the directory counts too
        MAP     PAGE_A, PAGE_A | KEEP
        mov     dword [PAGE_DIR + 4], PAGE_TABLE | P_P | P_U
        FLUSH
        PAGE_FAULTS PF_P | PF_W, PAGE_A + 0x400000, mov dword [PAGE_A + 0x400000], 2
        EQ      [PAGE_A + 0x400000], 3

        ; ---- CPL 3 ----
        MAP     PAGE_A, PAGE_A | P_P | P_W              ; supervisor
        MAP     PAGE_B, PAGE_B | P_P | P_U              ; read-only
        MAP     PAGE_C, 0
        mov     dword [PAGE_A], 0x5a5a5a5a              ; in the supervisor's TLB now
        USER
        PAGE_FAULTS PF_P | PF_U, PAGE_A, mov eax, [PAGE_A]
        PAGE_FAULTS PF_P | PF_U | PF_W, PAGE_A, mov [PAGE_A], eax
        PAGE_FAULTS PF_P | PF_U | PF_W, PAGE_B, mov [PAGE_B], eax
        PAGE_FAULTS PF_U, PAGE_C, mov eax, [PAGE_C]
        PAGE_FAULTS PF_U | PF_W, PAGE_C, mov [PAGE_C], eax
        EQ      [PAGE_B], 0xbbbbbbbb
        mov     dword [ex_resume], .fetched2
        mov     dword [ex_count], 0
        mov     eax, PAGE_A
        jmp     eax
.fetched2:
        EQ      [ex_count], 1
        EQ      [ex_error], PF_P | PF_U
        EQ      [ex_eip], PAGE_A
        ; U in the directory counts too
        SUPERVISOR
        mov     dword [PAGE_DIR + 4], PAGE_TABLE | P_P | P_W
        FLUSH
        mov     eax, [PAGE_B + 0x400000]
        USER
        PAGE_FAULTS PF_P | PF_U, PAGE_B + 0x400000, mov eax, [PAGE_B + 0x400000]
        ; the descriptor tables and the TSS are read by the CPU itself, as supervisor
        SUPERVISOR
        MAP     GDT, (GDT & ~0xfff) | P_P | P_W
        USER
        mov     eax, USER_DATA
        mov     fs, eax                 ; GDT, IDT in a supervisor page
        PAGE_FAULTS PF_P | PF_U, GDT, mov eax, [GDT]
        SUPERVISOR
        mov     dword [PTE(GDT)], (GDT & ~0xfff) | KEEP
        mov     dword [PAGE_DIR + 4], 0
        FLUSH

        ; ---- accessed and dirty ----
        MAP     PAGE_A, PAGE_A | KEEP
        mov     dword [PAGE_DIR], PAGE_TABLE | KEEP
        FLUSH
        mov     eax, [PTE(PAGE_A)]
        EQ      eax, PAGE_A | KEEP
        mov     eax, [PAGE_A]
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A
        BITS_EQ [PAGE_DIR], 0xfff, KEEP | P_A           ; D is not for the directory
        mov     dword [PAGE_A], 1
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A | P_D
        ; again with the translation cached and the bits cleared: only after INVLPG
        MAP     PAGE_A, PAGE_A | KEEP
        mov     dword [PAGE_A], 1
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A | P_D
        MAP     PAGE_A, PAGE_A | KEEP | P_A
        mov     eax, [PAGE_A]
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A
        inc     dword [PAGE_A]
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A | P_D
        ; a fault sets nothing in the entry that is not present or not allowed
        MAP     PAGE_A, PAGE_A | P_P | P_U
        PAGE_FAULTS PF_P | PF_W, PAGE_A, mov [PAGE_A], eax
        EQ      [PTE(PAGE_A)], PAGE_A | P_P | P_U
        ; A by a fetch
        MAP     PAGE_A, PAGE_A | KEEP
        MAP     PAGE_A, PAGE_A | KEEP
        mov     eax, PAGE_A
        mov     byte [PAGE_A], 0xc3
        MAP     PAGE_A, PAGE_A | KEEP
        mov     eax, PAGE_A
        call    eax
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A
        ; a locked RMW that stores back the same value makes dirty
        MAP     PAGE_A, PAGE_A | KEEP
        xor     eax, eax
        lock add [PAGE_A], eax
        EQ      [PTE(PAGE_A)], PAGE_A | KEEP | P_A | P_D

        ; ---- stale entries: gone after INVLPG, CR3 load; permissions that grow need nothing ----
        mov     ecx, 6
.stale: MAP     PAGE_A, PAGE_B | KEEP
        mov     eax, [PAGE_A]
        EQ      eax, 0xbbbbbbbb
        MAP     PAGE_A, PAGE_A | KEEP
        mov     dword [PAGE_A], 0xaaaaaaaa
        mov     eax, [PAGE_A]
        EQ      eax, 0xaaaaaaaa
        mov     dword [PTE(PAGE_A)], PAGE_B | KEEP
        FLUSH
        EQ      [PAGE_A], 0xbbbbbbbb
        mov     dword [PTE(PAGE_A)], 0
        invlpg  [PAGE_A + 0xabc]
        PAGE_FAULTS 0, PAGE_A, mov eax, [PAGE_A]
        mov     dword [PTE(PAGE_A)], PAGE_A | P_P | P_U ; not present -> present: no flush
        EQ      [PAGE_A], 0xaaaaaaaa
        PAGE_FAULTS PF_P | PF_W, PAGE_A, mov [PAGE_A], eax
        mov     dword [PTE(PAGE_A)], PAGE_A | KEEP      ; the fault has dropped the old entry
        mov     dword [PAGE_A], 0xaaaaaaaa
        dec     ecx
        jnz     .stale
        ; turning paging off and on forgets everything
        mov     eax, [PAGE_A]
        mov     dword [PTE(PAGE_A)], PAGE_B | KEEP
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        EQ      [PAGE_A], 0xaaaaaaaa
        or      eax, CR0_PG
        mov     cr0, eax
        EQ      [PAGE_A], 0xbbbbbbbb
        mov     dword [PTE(PAGE_A)], PAGE_A | KEEP
        FLUSH

        ; ---- global pages survive CR3, not INVLPG, not a change of CR4.PGE ----
        mov     eax, cr4
        or      eax, CR4_PGE
        mov     cr4, eax
        mov     ecx, 4
.global:
        MAP     PAGE_A, PAGE_A | KEEP | P_G
        mov     eax, [PAGE_A]
        mov     dword [PTE(PAGE_A)], PAGE_B | KEEP | P_G
        invlpg  [PAGE_A]
        EQ      [PAGE_A], 0xbbbbbbbb
        mov     dword [PTE(PAGE_A)], PAGE_A | KEEP | P_G
        mov     eax, cr4
        and     eax, ~CR4_PGE
        mov     cr4, eax
        EQ      [PAGE_A], 0xaaaaaaaa
        mov     dword [PTE(PAGE_A)], PAGE_B | KEEP | P_G
        or      eax, CR4_PGE
        mov     cr4, eax
        EQ      [PAGE_A], 0xbbbbbbbb
        ; a page that is not global goes with CR3, beside one that is
        MAP     PAGE_B, PAGE_B | KEEP
        mov     eax, [PAGE_B]
        mov     dword [PTE(PAGE_B)], PAGE_A | KEEP
        FLUSH
        EQ      [PAGE_B], 0xaaaaaaaa
        MAP     PAGE_B, PAGE_B | KEEP
        dec     ecx
        jnz     .global
        MAP     PAGE_A, PAGE_A | KEEP
        mov     eax, cr4
        and     eax, ~CR4_PGE
        mov     cr4, eax

        ; ---- 4 MiB pages ----
        mov     dword [PAGE_DIR + 8], 0x00000000 | KEEP | P_PS  ; without CR4.PSE: a table at 0
        mov     eax, cr4
        or      eax, CR4_PSE
        mov     cr4, eax
        FLUSH
        EQ      [0x800000 + PAGE_A], 0xaaaaaaaa
        BITS_EQ [PAGE_DIR + 8], 0xfff, KEEP | P_PS | P_A
        mov     dword [0x800000 + PAGE_A + 8], 0x1234
        BITS_EQ [PAGE_DIR + 8], 0xfff, KEEP | P_PS | P_A | P_D
        EQ      [PAGE_A + 8], 0x1234
        ; reserved bits: bit 21 of the entry; RSVD comes with P
        mov     dword [PAGE_DIR + 8], 0x00200000 | KEEP | P_PS
        FLUSH
        PAGE_FAULTS PF_P | PF_RSVD, 0x800010, mov eax, [0x800010]
        PAGE_FAULTS PF_P | PF_RSVD | PF_W, 0x800010, mov [0x800010], eax
        ; read-only and supervisor large pages
        mov     dword [PAGE_DIR + 8], P_P | P_U | P_PS
        FLUSH
        PAGE_FAULTS PF_P | PF_W, 0x800000 + PAGE_A, mov [0x800000 + PAGE_A], eax
        mov     dword [PAGE_DIR + 8], P_P | P_W | P_PS
        FLUSH
        USER
        PAGE_FAULTS PF_P | PF_U, 0x800000 + PAGE_A, mov eax, [0x800000 + PAGE_A]
        SUPERVISOR
        ; INVLPG anywhere in the page drops all of it
        mov     eax, [0x800000 + PAGE_A]
        mov     eax, [0x800000 + PAGE_B]
        mov     dword [PAGE_DIR + 8], 0x400000 | KEEP | P_PS
        mov     dword [PAGE_DIR + 4], 0x400000 | KEEP | P_PS
        mov     dword [0x400000 + PAGE_A], 0x44444444
        invlpg  [0x800000]
        EQ      [0x800000 + PAGE_A], 0x44444444
        mov     dword [PAGE_DIR + 8], 0
        mov     dword [PAGE_DIR + 4], 0
        FLUSH

        ; ---- faults leave everything as it was ----
        MAP     PAGE_C, PAGE_C | KEEP
        MAP     PAGE_B, 0
        ; a store across the boundary: nothing of it is written
        mov     dword [PAGE_A + 0xffc], 0x77777777
        mov     eax, 0x99999999
        PAGE_FAULTS PF_W, PAGE_B, mov [PAGE_A + 0xffe], eax
        EQ      [PAGE_A + 0xffc], 0x77777777
        PAGE_FAULTS PF_W, PAGE_B, add [PAGE_A + 0xffd], eax
        EQ      [PAGE_A + 0xffc], 0x77777777
        PAGE_FAULTS 0, PAGE_B, mov eax, [PAGE_A + 0xffe]
        EQ      eax, 0x99999999
        ; PUSH, CALL, ENTER, PUSHAD at CPL 3: ESP as before
        USER
        mov     esp, PAGE_C + 2
        mov     dword [PAGE_C], 0x66666666
        PAGE_FAULTS PF_U | PF_W, PAGE_B + 0xffe, push eax
        EQ      [ex_esp], PAGE_C + 2
        PAGE_FAULTS PF_U | PF_W, PAGE_B + 0xffe, call 0x12345
        EQ      [ex_esp], PAGE_C + 2
        mov     esp, PAGE_C + 8
        mov     ebp, 0x1111
        PAGE_FAULTS PF_U | PF_W, PAGE_B + 0xffc, enter 0x10, 3
        EQ      [ex_esp], PAGE_C + 8
        EQ      [ex_regs + FR_EBP], 0x1111
        PAGE_FAULTS PF_U | PF_W, PAGE_B + 0xffc, pushad
        EQ      [ex_esp], PAGE_C + 8
        mov     esp, PAGE_A + 0xff8
        mov     eax, 0x2222
        PAGE_FAULTS PF_U, PAGE_B, popad
        EQ      [ex_esp], PAGE_A + 0xff8
        EQ      eax, 0x2222
        mov     esp, PAGE_A + 0xffc
        mov     dword [esp], .back
        ret     4
.back:  EQ      esp, PAGE_B + 4
        PAGE_FAULTS PF_U, PAGE_B + 4, ret
        EQ      [ex_esp], PAGE_B + 4
        PAGE_FAULTS PF_U, PAGE_B + 4, pop dword [DATA]
        EQ      [ex_esp], PAGE_B + 4
        mov     esp, PAGE_A + 0x10
        mov     eax, 0
        PAGE_FAULTS PF_U | PF_W, PAGE_B, pop dword [PAGE_B]
        EQ      [ex_esp], PAGE_A + 0x10
        PAGE_FAULTS PF_U, PAGE_B, push dword [PAGE_B]
        EQ      [ex_esp], PAGE_A + 0x10
        PAGE_FAULTS PF_U, PAGE_B, call [PAGE_B]
        EQ      [ex_esp], PAGE_A + 0x10
        mov     ebp, PAGE_B
        PAGE_FAULTS PF_U, PAGE_B, leave
        EQ      [ex_esp], PAGE_A + 0x10
        SUPERVISOR

        ; ---- REP: the registers say how far it came; it goes on when the page is there ----
        mov     edx, 3
.rep:   mov     edi, PAGE_A + 0xff0
        mov     ecx, 0x20
        mov     al, 0x3c
        PAGE_FAULTS PF_W, PAGE_B, rep stosb
        EQ      ecx, 0x10
        EQ      edi, PAGE_B
        EQ      [PAGE_A + 0xffc], 0x3c3c3c3c
        mov     esi, PAGE_A + 0xff0
        mov     edi, PAGE_C
        mov     ecx, 9
        PAGE_FAULTS 0, PAGE_B, rep movsd
        EQ      ecx, 5
        EQ      esi, PAGE_B
        EQ      edi, PAGE_C + 16
        ; an element over the boundary
        mov     esi, PAGE_C
        mov     edi, PAGE_A + 0xff6
        mov     ecx, 9
        PAGE_FAULTS PF_W, PAGE_B, rep movsd
        EQ      ecx, 7
        EQ      edi, PAGE_A + 0xffe
        ; downwards
        std
        mov     esi, PAGE_C + 8
        mov     edi, PAGE_C + 0x108
        mov     ecx, 9
        mov     dword [ex_resume], .down
        mov     dword [ex_count], 0
        rep     movsd
        FAIL
.down:  cld
        EQ      [ex_cr2], PAGE_B + 0xffc
        EQ      ecx, 6
        EQ      edi, PAGE_C + 0xfc
        mov     edi, PAGE_A + 0xffe
        mov     ecx, 5
        xor     eax, eax
        mov     word [PAGE_A + 0xffe], 0
        PAGE_FAULTS 0, PAGE_B, repe scasb
        EQ      ecx, 3
        EQ      edi, PAGE_B
        mov     esi, PAGE_A + 0xff0
        mov     edi, PAGE_A + 0xff0
        mov     ecx, 100
        PAGE_FAULTS 0, PAGE_B, repe cmpsb
        EQ      ecx, 84
        dec     edx
        jnz     .rep
        ; the handler maps the page and returns: the instruction is done once
        mov     edx, 3
.demand:
        MAP     PAGE_B, 0
        mov     dword [ex_hook], map_hook
        mov     dword [ex_count], 0
        mov     edi, PAGE_A + 0xff0
        mov     ecx, 0x20
        mov     al, dl
        rep     stosb
        EQ      [ex_count], 1
        EQ      ecx, 0
        EQ      edi, PAGE_B + 0x10
        MAP     PAGE_B, 0
        mov     dword [PAGE_A + 0xffc], 0x00ffffff
        inc     dword [PAGE_A + 0xffc]
        mov     word [PAGE_A + 0xffe], 0xffff
        add     dword [PAGE_A + 0xffe], 1
        EQ      [ex_count], 2
        MAP     PAGE_B, 0
        mov     ebx, PAGE_B
        mov     eax, 5
        xadd    [ebx], eax
        EQ      [ex_count], 3
        MAP     PAGE_B, 0
        lock dec dword [ebx + 4]
        EQ      [ex_count], 4
        MAP     PAGE_B, 0
        push    dword [ebx]
        pop     dword [ebx + 8]
        EQ      [ex_count], 5
        mov     dword [ex_hook], 0
        dec     edx
        jnz     .demand
        MAP     PAGE_B, PAGE_B | KEEP

        ; ---- a fetch over the boundary to a page that is not there: CR2 is the second page ----
        MAP     PAGE_C, 0
        mov     byte [PAGE_B + 0xffe], 0xb8
        mov     dword [ex_resume], .fetched3
        mov     dword [ex_count], 0
        mov     eax, PAGE_B + 0xffe
        jmp     eax
.fetched3:
        EQ      [ex_count], 1
        EQ      [ex_cr2], PAGE_C
        EQ      [ex_eip], PAGE_B + 0xffe
        ; straight code that runs into it
        mov     byte [PAGE_B + 0xffd], 0x90
        mov     byte [PAGE_B + 0xffe], 0x43
        mov     byte [PAGE_B + 0xfff], 0x43
        xor     ebx, ebx
        mov     dword [ex_resume], .fetched4
        mov     dword [ex_count], 0
        mov     eax, PAGE_B + 0xffd
        jmp     eax
.fetched4:
        EQ      [ex_cr2], PAGE_C
        EQ      [ex_eip], PAGE_C
        EQ      ebx, 2
        call    paging_off
        ret

map_hook:
        cmp     dword [ex_vector], PF
        jne     .bad
        cmp     dword [ex_cr2], PAGE_B
        jb      .bad
        mov     dword [PTE(PAGE_B)], PAGE_B | KEEP
        ret
.bad:   FAIL
