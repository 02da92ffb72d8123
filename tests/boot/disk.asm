; tests/boot/disk.asm -- a boot sector that tells where it came from and writes to its disk.
;
; Says "LABEL count=N" on COM1: LABEL is the letter at offset 3 of the sector, N the digit in sector
; 2 (of the first track), which is then one more.  Then does what the letter at offset 4 says:
; X ends the machine through isa-debug-exit, R resets it, W writes on until somebody kills the
; process: sector 3 gets a running number and is flushed, and each number is printed when it is safe.
        bits    16
        org     0x7c00

        jmp     short start
        nop
label:  db      'C'
then:   db      'X'

start:  xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        cld
        mov     [drive], dl
        mov     cl, 2
        mov     ax, 0x0201
        call    sector
        mov     al, [label]
        call    put
        mov     si, text
        call    print
        mov     al, [buffer]
        call    put
        call    newline
        inc     byte [buffer]
        mov     cl, 2
        mov     ax, 0x0301
        call    sector
        mov     al, [then]
        cmp     al, 'R'
        je      reset
        cmp     al, 'W'
        je      write
        mov     dx, 0x501
        mov     al, 8
        out     dx, al
        jmp     $

reset:  mov     dx, 0xcf9
        mov     al, 6
        out     dx, al
        jmp     $

write:  inc     dword [number]
        mov     eax, [number]
        mov     [buffer], eax
        mov     cl, 3
        mov     ax, 0x0301
        call    sector
        call    flush
        mov     ebx, [number]
        mov     cx, 8
.digit: rol     ebx, 4
        mov     al, bl
        and     al, 15
        add     al, '0'
        cmp     al, '9'
        jbe     .put
        add     al, 7
.put:   call    put
        loop    .digit
        call    newline
        jmp     write

; FLUSH CACHE of the primary master, by its ports.
flush:  mov     dx, 0x1f6
        mov     al, 0xe0
        out     dx, al
        mov     dx, 0x1f7
        mov     al, 0xe7
        out     dx, al
.busy:  in      al, dx
        test    al, 0x80
        jnz     .busy
        ret

; One sector of the first track: AX function and count, CL sector.
sector: mov     bx, buffer
        mov     ch, 0
        mov     dh, 0
        mov     dl, [drive]
        int     0x13
        jnc     done
        mov     si, failed
        call    print
        mov     dx, 0x501
        mov     al, 9
        out     dx, al
        jmp     $

print:  lodsb
        test    al, al
        jz      done
        call    put
        jmp     print
newline:
        mov     al, 10
put:    mov     dx, 0x3f8
        out     dx, al
done:   ret

text:   db      ' count=', 0
failed: db      ' failed', 10, 0
number: dd      0
drive:  db      0
        times   510 - ($ - $$) db 0
        dw      0xaa55
buffer  equ     0x7e00
