# embed.cmake - files as C arrays in one generated header.
#
#   embed(TARGET HEADER FILE...)   at configure time: HEADER has `static const unsigned char NAME[]`
#                                  per FILE, NAME being its name with _ for what C does not allow.
#
# The same script does the work at build time, whenever a file changes.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "/* Made by cmake/embed.cmake from the files of the same names. */\n")
  foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER ${name} name)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND text "static const unsigned char ${name}[] = {${bytes}};\n")
  endforeach()
  file(WRITE ${HEADER} "${text}")
  return()
endif()

set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(embed target header)
  set(files ${ARGN})
  list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded/${header})
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DHEADER=${out} -P ${EMBED_SCRIPT}
    DEPENDS ${files} ${EMBED_SCRIPT}
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded)
endfunction()
