; tests/boot/debuggee.asm -- a multiboot kernel with symbols, for gdb.sh: a loop that counts, stores,
; loads and uses SSE and x87, a function, and an end by isa-debug-exit.
        bits    32
        section .text
        global  entry, work, again, stored, done, counter, vector, unread

        align   4
header: dd      0x1badb002, 0, -0x1badb002

entry:  mov     esp, stack
        mov     eax, cr0                ; SSE: EM clear, MP set
        and     eax, ~4
        or      eax, 2
        mov     cr0, eax
        mov     eax, cr4                ; OSFXSR, OSXMMEXCPT
        or      eax, 0x600
        mov     cr4, eax
        fninit
        mov     ecx, 100000
again:  call    work
        dec     ecx
        jnz     again
done:   mov     al, 21
        out     0xf4, al                ; status 43
        hlt

work:   inc     dword [counter]
stored: movups  xmm1, [vector]
        addps   xmm1, xmm1
        mov     eax, [counter]
        cmp     eax, 1
        jne     .end
        fld1
        fldpi
.end:   ret

        section .data
        align   16
vector: dd      1.0, 2.0, 3.0, 4.0
counter: dd     0
unread: dd      0

        section .bss
        resb    4096
stack:
