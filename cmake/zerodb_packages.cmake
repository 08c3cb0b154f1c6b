# Debian packages, made by `make packages`: zerodb (node and tools), libzerodb0.1 and libzerodb-dev. What they hold is said where
# it is installed, by component. What only packages hold, as it names /usr and /var, is left out of `make install`.
set(packaging "${PROJECT_SOURCE_DIR}/packaging")

install(FILES "${packaging}/zdb.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT node)
install(FILES "${packaging}/zerodb-node.8" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8" COMPONENT node)
install(FILES "${packaging}/zerodb.service"
  DESTINATION lib/systemd/system
  COMPONENT node EXCLUDE_FROM_ALL)

set(library_package "libzerodb${ZERODB_ABI}")
set(package_of_node zerodb)
set(package_of_library ${library_package})
set(package_of_development libzerodb-dev)
foreach(component node library development)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${package_of_${component}}"
    RENAME copyright
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR zerodb)
set(CPACK_PACKAGE_CONTACT "zerodb maintainers <zerodb@example.org>")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL node library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)

set(CPACK_DEBIAN_NODE_PACKAGE_NAME ${package_of_node})
set(CPACK_DEBIAN_NODE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_NODE_DESCRIPTION "Keeps files on several machines that cannot read them.
This is the node of one machine, with its service, and zdb, the command line.
Purging the package removes the node's keys and data in /var/lib/zerodb.")
set(CPACK_DEBIAN_NODE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_NODE_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.52)")
set(CPACK_DEBIAN_NODE_PACKAGE_CONTROL_EXTRA
  "${packaging}/postinst" "${packaging}/prerm" "${packaging}/postrm")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${package_of_library})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "The C++ library: keeps and fetches objects through the node of this machine.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ${package_of_development})
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "Development files of the C++ library: headers, and what CMake and pkg-config
need to find it.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "${library_package} (= ${PROJECT_VERSION}), libexpected-dev")
include(CPack)
