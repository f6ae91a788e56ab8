# Warnings and hardening, carried by the interface library mih_flags that every target links.
add_library(mih_flags INTERFACE)
target_include_directories(mih_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(mih_flags INTERFACE _GNU_SOURCE MIH_VERSION="${PROJECT_VERSION}")
target_compile_options(mih_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2
  -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla -Wundef
  -Wimplicit-fallthrough -Wswitch-enum -Wnull-dereference
  -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
  -fvisibility=hidden -fno-strict-aliasing)
target_link_options(mih_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)
if(MIH_WERROR)
  target_compile_options(mih_flags INTERFACE -Werror)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
  target_compile_options(mih_flags INTERFACE
    -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wstack-usage=65536)
endif()
if(CMAKE_BUILD_TYPE STREQUAL Release)
  target_compile_options(mih_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
elseif(CMAKE_BUILD_TYPE STREQUAL Sanitize)
  target_compile_definitions(mih_flags INTERFACE MIH_SANITIZE)
  target_compile_options(mih_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(mih_flags INTERFACE -fsanitize=address,undefined)
endif()
if(MIH_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "MIH_FUZZ needs clang")
  endif()
  target_compile_options(mih_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
