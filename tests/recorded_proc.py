"""Texts of /proc as kernels of several ages write them, for the tests of what reads them."""

from hypothesis import strategies as st

STATUS_2_6 = b"""\
Name:\tcrond
State:\tS (sleeping)
Tgid:\t1398
Pid:\t1398
PPid:\t1
TracerPid:\t0
Uid:\t0\t0\t0\t0
Gid:\t0\t0\t0\t0
Utrace:\t0
FDSize:\t64
Groups:\t
VmPeak:\t  117300 kB
VmSize:\t  117300 kB
VmLck:\t       0 kB
VmHWM:\t    1256 kB
VmRSS:\t    1252 kB
Threads:\t1
SigQ:\t0/3806
SigPnd:\t0000000000000000
ShdPnd:\t0000000000000000
SigBlk:\t0000000000000000
SigIgn:\t0000000000000000
SigCgt:\t0000000000010001
CapInh:\t0000000000000000
CapPrm:\tffffffffffffffff
CapEff:\tffffffffffffffff
CapBnd:\tffffffffffffffff
voluntary_ctxt_switches:\t108
nonvoluntary_ctxt_switches:\t3
"""
"""Without Umask, NSpid, CapAmb, NoNewPrivs and Seccomp."""

STATUS_5_10 = b"""\
Name:\tdbus-daemon
Umask:\t0022
State:\tS (sleeping)
Tgid:\t512
Ngid:\t0
Pid:\t512
PPid:\t1
TracerPid:\t77
Uid:\t104\t104\t104\t104
Gid:\t111\t111\t111\t111
FDSize:\t256
Groups:\t111 4 27 \n\
NStgid:\t512\t1
NSpid:\t512\t1
NSpgid:\t512\t1
NSsid:\t512\t1
VmPeak:\t    9356 kB
VmSize:\t    9144 kB
VmLck:\t      64 kB
VmPin:\t       0 kB
VmHWM:\t    5172 kB
VmRSS:\t    5172 kB
CoreDumping:\t0
THP_enabled:\t1
Threads:\t4
SigQ:\t2/31456
SigPnd:\t0000000000000000
ShdPnd:\t0000000000000200
SigBlk:\t0000000000004000
SigIgn:\t0000000000001000
SigCgt:\t0000000180004a02
CapInh:\t0000000000000000
CapPrm:\t0000000020000000
CapEff:\t0000000020000000
CapBnd:\t0000003fffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Speculation_Store_Bypass:\tthread force mitigated
"""

STATUS_OF_KERNEL_THREAD = b"""\
Name:\tkthreadd
Umask:\t0000
State:\tS (sleeping)
Tgid:\t2
Ngid:\t0
Pid:\t2
PPid:\t0
TracerPid:\t0
Uid:\t0\t0\t0\t0
Gid:\t0\t0\t0\t0
FDSize:\t64
Groups:\t \n\
NStgid:\t2
NSpid:\t2
NSpgid:\t0
NSsid:\t0
Kthread:\t1
Threads:\t1
SigQ:\t0/96364
SigPnd:\t0000000000000000
ShdPnd:\t0000000000000000
SigBlk:\t0000000000000000
SigIgn:\tffffffffffffffff
SigCgt:\t0000000000000000
CapInh:\t0000000000000000
CapPrm:\t000001ffffffffff
CapEff:\t000001ffffffffff
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t0
Seccomp:\t0
Seccomp_filters:\t0
"""
"""Of 6.18: it has no memory of its own."""

LIMITS = b"""\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max cpu time              unlimited            unlimited            seconds   \n\
Max file size             unlimited            unlimited            bytes     \n\
Max core file size        0                    unlimited            bytes     \n\
Max processes             31456                31456                processes \n\
Max open files            1024                 1048576              files     \n\
Max nice priority         0                    0                    \n\
Max realtime timeout      unlimited            unlimited            us        \n\
"""

FDINFO_OF_FILE = b"""\
pos:\t4096
flags:\t02102001
mnt_id:\t27
ino:\t2147115
lock:\t1: FLOCK  ADVISORY  WRITE 574 fe:00:2147115 0 EOF
lock:\t2: POSIX  ADVISORY  READ  575 fe:00:2147115 0 EOF
lock:\t3: OFDLCK ADVISORY  WRITE -1 fe:00:2147115 0 EOF
"""

FDINFO_OF_SIGNALFD = b"""\
pos:\t0
flags:\t02004002
mnt_id:\t14
sigmask:\t0000000000014000
"""

FDINFO_OF_EPOLL = b"""\
pos:\t0
flags:\t02
mnt_id:\t9
tfd:        5 events:       1d data: ffffffffffffffff pos:0 ino:61af sdev:7
"""

FDINFO_2_6 = b"pos:\t0\nflags:\t0100002\n"

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode              \n\
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   111        0 21334 1 ffff8d1 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 18452 1 ffff8d2 100 0 0 10 0
   2: 0F02000A:0016 0202000A:C5E2 01 00000000:00000000 02:000A9C3B 00000000     0        0 25761 2 ffff8d3 20 4 31 10 -1
   3: 0100007F:E878 0100007F:9C77 06 00000000:00000000 03:000002F7 00000000     0        0 0 3 ffff8d4
"""
"""Of a machine of the little-endian kind, as the two that follow."""

TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
00000000     0        0 19001 1 ffff8d5 100 0 0 10 0
   1: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
00000000     0        0 19002 1 ffff8d6 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:D2F0 01 00000000:00000000 00:00000000 \
00000000     0        0 19003 1 ffff8d7 20 4 30 10 -1
"""

UDP = b"""\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  247: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17001 2 ffff8d8 0
  302: 0100007F:0143 0100007F:8F2C 01 00000000:00000000 00:00000000 00000000   112        0 17002 2 ffff8d9 0
"""

UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 14021 /run/systemd/private
0000000000000000: 00000003 00000000 00000000 0002 01 14030 /run/systemd/journal/dev-log
0000000000000000: 00000003 00000000 00000000 0001 03 15100
0000000000000000: 00000002 00000000 00010000 0001 01 15200 @/tmp/.X11-unix/X0
0000000000000000: 00000002 00000000 00010000 0005 01 15300 /run/with two blanks
"""

CGROUP_V2 = b"0::/system.slice/ssh.service\n"
CGROUP_HYBRID = b"""\
11:pids:/system.slice/cron.service
4:memory:/system.slice/cron.service
1:name=systemd:/system.slice/cron.service
0::/system.slice/cron.service
"""
CGROUP_OF_USER = b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service\n"
CGROUP_OF_SESSION = b"0::/user.slice/user-1000.slice/session-3.scope\n"
CGROUP_OF_TERMINAL = b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n"
CGROUP_OF_CONTAINER = b"12:pids:/docker/5ea5dc718f1e\n1:name=systemd:/docker/5ea5dc718f1e\n"

ENVIRON = b"PATH=/usr/bin\0EMPTY=\0API_TOKEN=abc\0no assignment\0=odd\0NAME=a=b\0"

MOUNTINFO = b"""\
21 26 0:19 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
40 26 0:35 / /mnt/two\\040words rw,relatime shared:20 - nfs4 server:/export\\040one rw,vers=4.2
41 26 8:17 / /media/stick rw,nosuid,nodev shared:21 master:1 - vfat /dev/sdb1 rw
42 26 0:36 / /home/a rw - fuse.sshfs a@host: rw
"""

ALL = {
    "status": (STATUS_2_6, STATUS_5_10, STATUS_OF_KERNEL_THREAD),
    "limits": (LIMITS,),
    "fdinfo": (FDINFO_OF_FILE, FDINFO_OF_SIGNALFD, FDINFO_OF_EPOLL, FDINFO_2_6),
    "internet": (TCP, TCP6, UDP),
    "unix": (UNIX,),
    "cgroup": (CGROUP_V2, CGROUP_HYBRID, CGROUP_OF_USER, CGROUP_OF_SESSION, CGROUP_OF_TERMINAL, CGROUP_OF_CONTAINER),
    "environ": (ENVIRON,),
    "mountinfo": (MOUNTINFO,),
}
"""Every text by the parser that reads it."""

TOKENS = (b"", b"-", b"-1", b"+", b"_", b"0x", b":", b"/", b" ", b"\t", b"\n", b"\0", b"\xff", b"9" * 30, b"f" * 17)
"""What is put into a text to break it."""


def mutations(kind: str) -> st.SearchStrategy[bytes]:
    """One of the texts of a kind, with a few pieces cut out, moved or put in."""
    edit = st.tuples(st.integers(0, 1500), st.integers(0, 12), st.sampled_from(TOKENS) | st.binary(max_size=6))
    return st.builds(_edited, st.sampled_from(ALL[kind]), st.lists(edit, max_size=5))


def _edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, cut, put in edits:
        start = place % (len(text) + 1)
        text = text[:start] + put + text[start + cut :]
    return text
