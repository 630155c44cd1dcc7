/* replaced when the first module of this layer lands */ typedef int weft_io_placeholder;
