#!/bin/sh
# run: --no-python --max-restarts 0 sh SCRIPT
# expect: exit 4, rank 0, diagnosis none
printf '\033[31mred\033[0m \033]0;title\007and \000\001\377 noise\n'
printf '\033[2J\r 10%%\r 20%%\rfailed\n'
exit 4
