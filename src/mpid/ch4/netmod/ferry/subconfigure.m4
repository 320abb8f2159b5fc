[#] start of __file__
dnl MPICH_SUBCFG_AFTER=src/mpid/ch4

AC_DEFUN([PAC_SUBCFG_PREREQ_]PAC_SUBCFG_AUTO_SUFFIX,[
    AM_COND_IF([BUILD_CH4],[
        for net in $ch4_netmods ; do
            AS_CASE([$net],[ferry],[build_ch4_netmod_ferry=yes])
        done
        if test "X$build_ch4_netmod_ferry" = "Xyes" ; then
            AC_DEFINE([HAVE_CH4_NETMOD_FERRY],[1],[The Ferry netmod is built])
            if test "$build_ch4_locality_info" != "yes" ; then
                AC_DEFINE([MPIDI_BUILD_CH4_LOCALITY_INFO],[1],[CH4 should build locality info])
                build_ch4_locality_info="yes"
            fi
        fi
    ])
    AM_CONDITIONAL([BUILD_CH4_NETMOD_FERRY],[test "X$build_ch4_netmod_ferry" = "Xyes"])
])dnl

AC_DEFUN([PAC_SUBCFG_BODY_]PAC_SUBCFG_AUTO_SUFFIX,[
AM_COND_IF([BUILD_CH4_NETMOD_FERRY],[
    AC_MSG_NOTICE([RUNNING CONFIGURE FOR ch4:ferry])

    dnl Everything goes through Ferry, also between processes of one node.
    if test "${with_ch4_shmmods}" != "none" -a "${with_ch4_shmmods}" != "no" ; then
        AC_MSG_ERROR([ch4:ferry needs --with-ch4-shmmods=none: Ferry carries what shared memory modules would])
    fi
    if test "$ch4_nets_array_sz" != "1" ; then
        AC_MSG_ERROR([ch4:ferry can not be built together with other netmods: give --with-device=ch4:ferry])
    fi

    dnl --with-ferry=PREFIX says where libferry is
    PAC_CHECK_HEADER_LIB_FATAL([ferry],[ferry/ferry.h],[ferry],[ferry_open])
])dnl end AM_COND_IF(BUILD_CH4_NETMOD_FERRY,...)
])dnl end _BODY

[#] end of __file__
