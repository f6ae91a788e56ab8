# Part of install.cmake that runs at the installation, when CMAKE_INSTALL_PREFIX is final.
foreach(unit mih-worker@.service mih-replayer.service)
  file(READ ${MIH_SOURCE}/deploy/systemd/${unit} text)
  string(REPLACE "/usr/bin/mih" "${CMAKE_INSTALL_PREFIX}/bin/mih" text "${text}")
  file(WRITE ${MIH_BUILD}/install/${unit} "${text}")
  file(INSTALL DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system TYPE FILE FILES ${MIH_BUILD}/install/${unit}
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endforeach()

if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  file(INSTALL DESTINATION /etc/mih TYPE FILE FILES ${MIH_SOURCE}/deploy/mih.conf.example RENAME mih.conf
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
  file(INSTALL DESTINATION ${CMAKE_INSTALL_PREFIX}/${MIH_DOC} TYPE FILE FILES ${MIH_BUILD}/install/changelog)
  file(INSTALL DESTINATION ${CMAKE_INSTALL_PREFIX}/share/lintian/overrides TYPE FILE FILES ${MIH_SOURCE}/deploy/debian/lintian-overrides
    RENAME mih)
  file(GLOB pages $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/share/man/man?/mih*.?)
  execute_process(COMMAND gzip -9nf ${pages} $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${MIH_DOC}/changelog COMMAND_ERROR_IS_FATAL ANY)
endif()
