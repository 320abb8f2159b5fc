## Ferry, a netmod for MPICH's CH4 device. See LICENSE in Ferry's source.

if BUILD_CH4_NETMOD_FERRY

noinst_HEADERS     += src/mpid/ch4/netmod/ferry/netmod_inline.h \
                      src/mpid/ch4/netmod/ferry/ferry_am.h \
                      src/mpid/ch4/netmod/ferry/ferry_coll.h \
                      src/mpid/ch4/netmod/ferry/ferry_compat.h \
                      src/mpid/ch4/netmod/ferry/ferry_impl.h \
                      src/mpid/ch4/netmod/ferry/ferry_map.h \
                      src/mpid/ch4/netmod/ferry/ferry_pre.h \
                      src/mpid/ch4/netmod/ferry/ferry_probe.h \
                      src/mpid/ch4/netmod/ferry/ferry_proc.h \
                      src/mpid/ch4/netmod/ferry/ferry_progress.h \
                      src/mpid/ch4/netmod/ferry/ferry_recv.h \
                      src/mpid/ch4/netmod/ferry/ferry_rma.h \
                      src/mpid/ch4/netmod/ferry/ferry_send.h \
                      src/mpid/ch4/netmod/ferry/ferry_team.h \
                      src/mpid/ch4/netmod/ferry/ferry_win.h

mpi_core_sources   += src/mpid/ch4/netmod/ferry/func_table.c \
                      src/mpid/ch4/netmod/ferry/ferry_am.c \
                      src/mpid/ch4/netmod/ferry/ferry_coll.c \
                      src/mpid/ch4/netmod/ferry/ferry_comm.c \
                      src/mpid/ch4/netmod/ferry/ferry_cvar.c \
                      src/mpid/ch4/netmod/ferry/ferry_first.c \
                      src/mpid/ch4/netmod/ferry/ferry_handle.c \
                      src/mpid/ch4/netmod/ferry/ferry_init.c \
                      src/mpid/ch4/netmod/ferry/ferry_map.c \
                      src/mpid/ch4/netmod/ferry/ferry_node.c \
                      src/mpid/ch4/netmod/ferry/ferry_part.c \
                      src/mpid/ch4/netmod/ferry/ferry_progress.c \
                      src/mpid/ch4/netmod/ferry/ferry_pt2pt.c \
                      src/mpid/ch4/netmod/ferry/ferry_pvar.c \
                      src/mpid/ch4/netmod/ferry/ferry_spawn.c \
                      src/mpid/ch4/netmod/ferry/ferry_straight.c \
                      src/mpid/ch4/netmod/ferry/ferry_team.c \
                      src/mpid/ch4/netmod/ferry/ferry_type.c \
                      src/mpid/ch4/netmod/ferry/ferry_view.c \
                      src/mpid/ch4/netmod/ferry/ferry_win.c \
                      src/mpid/ch4/netmod/ferry/ferry_win_memory.c \
                      src/mpid/ch4/netmod/ferry/ferry_win_start.c

errnames_txt_files += src/mpid/ch4/netmod/ferry/errnames.txt

endif
