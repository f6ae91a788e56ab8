# What `cmake --install` and the Debian package put where. With the prefix /usr that is a Debian system's own layout, /etc/mih/mih.conf
# included; with any other (/usr/local) everything stays below it, and the example of the configuration is in share/doc/mih.
set(MIH_MAINTAINER "Moodle Integration Hub contributors <moodle-integration-hub@example.org>" CACHE STRING "Who stands in the Debian package")
set(MIH_SHARE share/mih)
set(MIH_DOC share/doc/mih)

install(FILES schema.sql DESTINATION ${MIH_SHARE})
install(PROGRAMS deploy/grants.sh DESTINATION ${MIH_SHARE})
install(FILES deploy/prometheus/mih-alerts.yml deploy/grafana/mih-dashboard.json DESTINATION ${MIH_SHARE})
install(DIRECTORY moodle-plugin/ DESTINATION ${MIH_SHARE}/integrationhub)
install(FILES README.md DESTINATION ${MIH_DOC})
install(DIRECTORY docs DESTINATION ${MIH_DOC} FILES_MATCHING PATTERN "*.md")
install(FILES deploy/mih.conf.example DESTINATION ${MIH_DOC}/examples RENAME mih.conf)
install(FILES deploy/debian/copyright DESTINATION ${MIH_DOC})
install(FILES deploy/man/mih-worker.8 deploy/man/mih-replayer.8 DESTINATION share/man/man8)
install(FILES deploy/man/mihctl.1 DESTINATION share/man/man1)
install(FILES deploy/completion/mihctl.bash DESTINATION share/bash-completion/completions RENAME mihctl)
install(FILES deploy/man/mih.conf.5 DESTINATION share/man/man5)
install(FILES deploy/systemd/mih-worker.target DESTINATION lib/systemd/system)
install(FILES deploy/systemd/sysusers.conf DESTINATION lib/sysusers.d RENAME mih.conf)
install(FILES deploy/systemd/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME mih.conf)
# Where the prefix is known only when it is installed: the units name the programs' full path.
configure_file(deploy/debian/changelog.in install/changelog @ONLY)
install(CODE "set(MIH_SOURCE \"${CMAKE_SOURCE_DIR}\")
set(MIH_BUILD \"${CMAKE_BINARY_DIR}\")
set(MIH_DOC \"${MIH_DOC}\")")
install(SCRIPT cmake/install_prefix.cmake)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mih)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${MIH_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "carries Moodle's events to other systems")
set(CPACK_PACKAGE_DESCRIPTION "Workers that take the events of a Moodle site from RabbitMQ, match them
to the administrator's rules, and call services over REST, SOAP or AMQP,
with retries, circuit breakers and dead letters. The Moodle plugin that
publishes the events is in /usr/share/mih/integrationhub.")
set(CPACK_SET_DESTDIR ON) # absolute paths, /etc/mih, belong into the package, too
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The second: fixes of how a broker's frames are read.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd, librabbitmq4 (>= 0.11.0-1+deb12u3), ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mariadb-client, rabbitmq-server")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm
  ${CMAKE_SOURCE_DIR}/deploy/debian/postrm ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
